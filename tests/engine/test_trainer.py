import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from tests.d2.engine import engine_module
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode
from vps_d2.d2.engine import HookBase, launch
from vps_d2.d2.utils import comm
from vps_d2.engine.hooks import read_evaluated
from vps_d2.engine.trainer import Trainer, share_buffers
from vps_d2.io.errors import UserError
from vps_d2.modeling.checkpoint import find_last

STEPS = 6


def make_config(folder: Path, amp: bool) -> CfgNode:
    cfg = get_vps_cfg()
    cfg.merge_from_list(
        [
            *("MODEL.META_ARCHITECTURE", "SimVP", "MODEL.DEVICE", "cpu"),
            *("MODEL.SIMVP.HIDDEN_SPATIAL", 2, "MODEL.SIMVP.HIDDEN_TEMPORAL", 8),
            *("MODEL.SIMVP.NUM_TEMPORAL_LAYERS", 2, "INPUT.MAPPER", "FutureFramesMapper"),
            *("INPUT.NUM_INPUT_FRAMES", 3, "INPUT.NUM_TARGET_FRAMES", 2),
            *("INPUT.FRAMESKIP", (1, 2), "INPUT.BLUR.PROB", 0.5, "SEED", 7),
            *("MODEL.PIXEL_STD", [50.0, 50.0, 50.0]),
            *("DATASETS.TRAIN", ("train_of_test_trainer",), "DATALOADER.NUM_WORKERS", 0),
            *("DATASETS.TEST", ("test_of_test_trainer",)),
            *("SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", STEPS, "SOLVER.WARMUP_ITERS", 2),
            *("SOLVER.CHECKPOINT_PERIOD", 3, "SOLVER.AMP.ENABLED", amp),
            *("TEST.EVAL_PERIOD", 3, "TEST.EVALUATORS", ("FramePredictionEvaluator",)),
            *("TEST.BEST_METRIC", "frames/mse", "TEST.BEST_MODE", "min"),
            *("TEST.PICTURE_PERIOD", 3, "OUTPUT_DIR", str(folder)),
        ]
    )
    cfg.freeze()
    return cfg


class Recorder(HookBase):
    """Keeps the loss of every iteration, and can die before one."""

    def __init__(self, die_before: int | None = None) -> None:
        self.losses: dict[int, float] = {}
        self.die_before = die_before

    def before_step(self) -> None:
        if self.trainer.iter == self.die_before:
            raise KeyboardInterrupt

    def after_step(self) -> None:
        self.losses[self.trainer.iter] = self.trainer.storage.latest()["total_loss"][0]


def train(cfg: CfgNode, resume: bool = False, die_before: int | None = None) -> dict[int, float]:
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    engine_module("utils.env").seed_all_rng(cfg.SEED)  # as default_setup does
    trainer = Trainer(cfg)
    recorder = Recorder(die_before)
    trainer.register_hooks([recorder])
    trainer.resume_or_load(resume)
    trainer.train()
    return recorder.losses


@pytest.mark.parametrize("amp", [False, True])
def test_a_killed_run_repeats_the_losses(amp: bool, tmp_path: Path) -> None:
    whole = train(make_config(tmp_path / "whole", amp))
    assert sorted(whole) == list(range(STEPS))
    with pytest.raises(KeyboardInterrupt):
        train(make_config(tmp_path / "broken", amp), die_before=4)
    rest = train(make_config(tmp_path / "broken", amp), resume=True)
    assert sorted(rest) == [3, 4, 5]
    for step, loss in rest.items():
        assert loss == pytest.approx(whole[step], rel=1e-6)
    assert len({round(loss, 6) for loss in whole.values()}) == STEPS


def test_resuming_with_other_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = make_config(tmp_path, amp=False)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, die_before=4)
    for key, value in (("SOLVER.OPTIMIZER", "AdamW"), ("MODEL.SIMVP.NUM_TEMPORAL_LAYERS", 3)):
        other = cfg.clone()
        other.defrost()
        other.merge_from_list([key, value])
        with pytest.raises(UserError, match=r"has another model or optimizer \("):
            train(other, resume=True)
    faster = cfg.clone()
    faster.defrost()
    faster.SOLVER.BASE_LR = 1.0
    assert sorted(train(faster, resume=True)) == [3, 4, 5]
    assert "goes on with the learning rates it began with" in caplog.text


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, amp=False).clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(tmp_path / "absent.pth")
    with pytest.raises(UserError, match=r"^checkpoint .*absent\.pth does not exist"):
        train(cfg)


def test_a_run_leaves_scores_pictures_and_its_best(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(make_config(folder, amp=True))
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert any(np.isfinite(line.get("frames/ssim", np.nan)) for line in lines)
    assert {"total_loss", "lr"} <= set().union(*lines)
    assert (folder / "model_best.pth").is_file() and (folder / "model_final.pth").is_file()
    (events,) = folder.glob("events.out.tfevents*")
    assert b"results/1" in events.read_bytes()


@pytest.mark.parametrize("killed_at", [2, 4, STEPS])
def test_an_evaluation_that_a_run_was_killed_in_is_made_up_for(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = make_config(tmp_path / "whole", amp=False)
    cfg.defrost()
    cfg.SOLVER.CHECKPOINT_PERIOD = cfg.TEST.EVAL_PERIOD = 2
    broken = cfg.clone()
    broken.OUTPUT_DIR = str(tmp_path / "broken")
    train(cfg)

    class Killed(BaseException):
        """Nothing of the program catches it."""

    asked = []

    def test(*args: object) -> dict:
        asked.append(args)
        if len(asked) == killed_at // 2:
            raise Killed
        return whole_test(*args)

    with monkeypatch.context() as patch:
        whole_test = Trainer.test
        patch.setattr(Trainer, "test", staticmethod(test))
        with pytest.raises(Killed):
            train(broken)
    train(broken, resume=True)
    for name in ("model_best.pth", "model_final.pth", "last_evaluation"):
        one, other = (tmp_path / run / name for run in ("whole", "broken"))
        assert one.read_bytes() == other.read_bytes(), name
    assert read_evaluated(broken.OUTPUT_DIR) == STEPS


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(iteration="3"),
        lambda state: state.update(hooks={"LRScheduler": {"last_epoch": "3"}}),
        lambda state: state.update(hooks=[1]),
        lambda state: state["hooks"]["LRScheduler"].update(base_lrs=[]),
        lambda state: state["hooks"]["LRScheduler"].update(base_lrs=["x"]),
        lambda state: state.pop("_trainer"),
        lambda state: state["_trainer"].update(optimizer=3),
        lambda state: state["_trainer"]["optimizer"]["state"][0].update(
            momentum_buffer=torch.zeros(9)
        ),
    ],
)
def test_a_state_of_other_types_is_a_sentence(change: Callable, tmp_path: Path) -> None:
    cfg = make_config(tmp_path, amp=False)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, die_before=4)
    path = find_last(tmp_path)
    content = torch.load(path)
    change(content["trainer"])
    torch.save(content, path)
    with pytest.raises(UserError, match=r"has another model or optimizer \("):
        train(cfg, resume=True)


def test_nothing_to_evaluate(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, amp=False).clone()
    cfg.defrost()
    cfg.TEST.EVALUATORS = ()
    assert Trainer.test(cfg, Trainer.build_model(cfg)) == {}


def _save_statistics(folder: str) -> None:
    rank = comm.get_rank()
    norm = torch.nn.BatchNorm1d(1)
    norm(torch.full((2, 1), 10.0 + rank))
    share_buffers(norm)
    torch.save(norm.state_dict(), Path(folder) / f"{rank}.pth")


@pytest.mark.skipif(
    ENGINE != "embedded", reason="Detectron2's processes now and then abort at exit"
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
@pytest.mark.usefixtures("forked_launch")
def test_processes_evaluate_the_model_that_is_saved(tmp_path: Path) -> None:
    launch(_save_statistics, 2, dist_url="auto", args=(str(tmp_path),))
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1))
    assert first["running_mean"] == second["running_mean"] == 1.0


class Diverging(nn.Module):
    """A loss that is no number, found by the loop or by the model itself."""

    def __init__(self, finds_out: bool) -> None:
        super().__init__()
        self.finds_out = finds_out
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: list) -> dict[str, torch.Tensor]:
        if self.finds_out:
            raise FloatingPointError("proposals contain infinities")
        return {"loss": self.weight * torch.nan}


@pytest.mark.parametrize("finds_out", [False, True])
def test_training_that_diverges_is_a_sentence(finds_out: bool, tmp_path: Path) -> None:
    trainer = Trainer(make_config(tmp_path, amp=False))
    trainer.model, trainer.start_iter = Diverging(finds_out), 1
    with pytest.raises(UserError, match=r"in iteration 1; lower SOLVER.BASE_LR, or clip") as error:
        trainer.train()
    assert "\n" not in str(error.value) and trainer.model.weight.item() == 1.0


def test_a_batch_that_comes_down_to_one_value_is_a_sentence(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, amp=False).clone()
    cfg.defrost()
    cfg.TEST.EVAL_PERIOD = 0
    trainer = Trainer(cfg)

    class OneValue(nn.BatchNorm2d):
        def forward(self, batch: object) -> dict[str, torch.Tensor]:
            return {"loss": super().forward(torch.zeros(1, 4, 1, 1)).sum()}

    trainer._trainer.model = OneValue(4)
    with pytest.raises(UserError, match=r"single value .*; raise SOLVER\.IMS_PER_BATCH, or"):
        trainer.train()
