import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from tests.helpers import Loop, Scores
from vps_d2.d2.checkpoint import DetectionCheckpointer
from vps_d2.d2.engine import HookBase
from vps_d2.d2.utils.events import get_event_storage

hooks = engine_module("engine.hooks")


def test_evaluation_has_a_period() -> None:
    loop = Loop()
    scores = Scores(loop, [0.1, 0.2, 0.3])
    loop.register_hooks([hooks.EvalHook(2, scores)])
    loop.train(0, 6)
    assert scores.asked_at == [1, 3, 6]  # the end has its own turn
    latest = {name: value for name, (value, _) in loop.storage.latest().items()}
    assert latest == {"masks/jaccard": 0.3, "masks/per/cube": 1.0, "mse": 2.0}


@pytest.mark.parametrize(("period", "after_train", "turns"), [(0, True, 1), (2, False, 2)])
def test_evaluation_at_the_end_alone_or_never(period: int, after_train: bool, turns: int) -> None:
    loop = Loop()
    scores = Scores(loop, [0.0] * 9)
    loop.register_hooks([hooks.EvalHook(period, scores, eval_after_train=after_train)])
    loop.train(0, 5)
    assert len(scores.asked_at) == turns


def test_failed_run_is_not_evaluated() -> None:
    loop = Loop(fail_at=3)
    scores = Scores(loop, [0.0] * 9)
    loop.register_hooks([hooks.EvalHook(0, scores)])
    with pytest.raises(RuntimeError, match="broken"):
        loop.train(0, 6)
    assert not scores.asked_at


@pytest.mark.parametrize("results", [{"jaccard": "high"}, {"a": {"b": [1, 2]}}])
def test_scores_must_be_numbers(results: dict) -> None:
    loop = Loop()
    loop.register_hooks([hooks.EvalHook(1, lambda: results)])
    with pytest.raises(ValueError, match=r"number|float"):
        loop.train(0, 3)


def test_periodic_checkpoints(tmp_path: Path) -> None:
    loop = Loop()
    checkpointer = DetectionCheckpointer(nn.Linear(1, 1), str(tmp_path), loop=loop)
    loop.register_hooks([hooks.PeriodicCheckpointer(checkpointer, 2)])
    loop.train(0, 5)
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["model_0000001.pth", "model_0000003.pth", "model_final.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    assert checkpointer.load(str(tmp_path / names[1]))["iteration"] == 3
    assert loop.iter == 3


def test_learning_rate_is_put_and_stepped() -> None:
    loop = Loop()
    seen = []

    class Reader(HookBase):
        def after_step(self) -> None:
            seen.append(self.trainer.storage.latest()["lr"][0])

    loop.register_hooks([hooks.LRScheduler(), Reader()])
    loop.train(0, 5)
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert loop.state_dict()["hooks"]["LRScheduler"]["last_epoch"] == 5
    other = Loop()
    other.register_hooks([hooks.LRScheduler()])
    other.load_state_dict(loop.state_dict())
    assert other.scheduler.last_epoch == 5


def test_largest_group_is_shown() -> None:
    def group(count: int, lr: float) -> dict:
        return {"params": [nn.Parameter(torch.zeros(1)) for _ in range(count)], "lr": lr}

    for groups, index in (
        ([group(1, 1.0), group(3, 2.0), group(2, 3.0)], 1),
        ([group(1, 1.0), group(1, 2.0), group(1, 2.0)], 1),
    ):
        optimizer = torch.optim.SGD(groups)
        assert hooks.LRScheduler.get_best_param_group_id(optimizer) == index


def test_timer(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    logger = logging.getLogger(hooks.IterationTimer.__module__)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, logger.name):
        loop.register_hooks([hooks.IterationTimer(warmup_iter=2)])
        loop.train(0, 5)
    logger.removeHandler(caplog.handler)
    iterations = [iteration for _, iteration in loop.storage.history("time").values()]
    assert iterations == [1, 2, 3, 4]
    assert "Total training time" in caplog.text and "s / it" in caplog.text


class Writer(engine_module("utils.events").EventWriter):
    def __init__(self) -> None:
        self.written: list[int] = []
        self.closed = False

    def write(self) -> None:
        self.written.append(get_event_storage().iter)

    def close(self) -> None:
        self.closed = True


def test_writers_write_in_their_turn() -> None:
    loop, writer = Loop(), Writer()
    loop.register_hooks([hooks.PeriodicWriter([writer], period=3)])
    loop.train(0, 7)
    assert writer.written == [2, 5, 6, 7] and writer.closed
    with pytest.raises(AssertionError):
        hooks.PeriodicWriter(["terminal"])
