import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from vps_d2.d2 import ENGINE
from vps_d2.d2.checkpoint import DetectionCheckpointer
from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.engine import (
    DefaultTrainer,
    HookBase,
    SimpleTrainer,
    TrainerBase,
    default_setup,
)
from vps_d2.d2.solver import build_optimizer
from vps_d2.engine.train_loop import AutocastTrainer

LOOPS = (SimpleTrainer, AutocastTrainer)


class Net(nn.Module):
    """One weight ``w``; two losses that add up to ``w * batch``."""

    def __init__(self, single: bool = False) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0))
        self.single = single

    def forward(self, batch: float) -> Any:
        loss = self.w * batch
        return loss if self.single else {"loss_a": 0.25 * loss, "loss_b": 0.75 * loss}


def make_loop(cls: type, net: Net | None = None, batches: Any = (1.0, 2.0, 3.0), **kwargs: Any):
    net = net or Net()
    return cls(net, batches, torch.optim.SGD(net.parameters(), lr=0.5), **kwargs)


@pytest.mark.parametrize("cls", LOOPS)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_loop_trains_and_puts_its_losses(cls: type, single: bool, before: bool) -> None:
    loop = make_loop(cls, Net(single).eval(), zero_grad_before_forward=before)
    loop.train(0, 3)
    assert loop.model.training and loop.iter == 3
    assert loop.model.w.item() == 2.0 - 0.5 * (1 + 2 + 3)
    totals = [value for value, _ in loop.storage.history("total_loss").values()]
    assert totals == [2.0, 3.0, 1.5]
    names = {"total_loss", "data_time", "rank_data_time"}
    assert set(loop.storage.latest()) == (names if single else names | {"loss_a", "loss_b"})


@pytest.mark.parametrize("cls", LOOPS)
def test_metrics_have_a_period(cls: type) -> None:
    loop = make_loop(cls, gather_metric_period=2)
    loop.train(0, 3)
    assert [step for _, step in loop.storage.history("total_loss").values()] == [1]


@pytest.mark.parametrize("cls", LOOPS)
def test_loss_that_is_no_number_stops_before_the_update(cls: type) -> None:
    loop = make_loop(cls, batches=[1.0, float("nan")])
    with pytest.raises(FloatingPointError, match="iteration=1"):
        loop.train(0, 2)
    assert loop.model.w.item() == 1.5


@pytest.mark.parametrize("cls", LOOPS)
def test_model_in_evaluation_mode_is_refused(cls: type) -> None:
    loop = make_loop(cls)
    loop.model.eval()
    with pytest.raises(AssertionError):
        loop.run_step()


@pytest.mark.parametrize("precision", [None, torch.float32, torch.bfloat16])
def test_forward_alone_is_cast(precision: torch.dtype | None) -> None:
    net, seen = nn.Linear(2, 1), []
    expected = torch.bfloat16 if precision is torch.bfloat16 else torch.float32

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(self.net(batch).dtype)
            return self.net(batch).sum()

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loop = AutocastTrainer(Model(), [torch.ones(3, 2)], optimizer, precision=precision)
    loop.train(0, 1)
    assert seen == [expected]
    assert net.weight.dtype == net.weight.grad.dtype == torch.float32
    assert net.weight.grad.tolist() == [[3.0, 3.0]]


def test_each_iteration_has_random_numbers_of_its_own() -> None:
    class Noise(Net):
        def forward(self, batch: float) -> torch.Tensor:
            return self.w * 0 + torch.rand(())

    def draw(start: int, stop: int, seed: int) -> list[float]:
        loop = make_loop(AutocastTrainer, Noise(), [0.0] * 9, seed=seed)
        loop.train(start, stop)
        return [value for value, _ in loop.storage.history("total_loss").values()]

    torch.manual_seed(0)
    whole = draw(0, 6, seed=3)
    assert len(set(whole)) == 6
    torch.rand(7)
    assert draw(4, 6, seed=3) == whole[4:]
    assert draw(0, 6, seed=4) != whole
    assert draw(0, 6, seed=-1) != draw(0, 6, seed=-1)


class Recorder(HookBase):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("before_", "after_")):
            self.calls.append(name)
        return super().__getattribute__(name)

    def state_dict(self) -> dict:
        return {"calls": len(self.calls)}

    def load_state_dict(self, state: dict) -> None:
        self.calls = ["loaded"] * state["calls"]


def test_hooks_are_called_in_order() -> None:
    loop, recorder = make_loop(SimpleTrainer), Recorder()
    loop.register_hooks([None, recorder])
    loop.train(1, 3)
    step = ["before_step", "after_backward", "after_step"]
    assert recorder.calls == ["before_train", *step, *step, "after_train"]
    with pytest.raises(AssertionError):
        loop.register_hooks(["a hook"])


def test_states_are_kept() -> None:
    loop = make_loop(SimpleTrainer, batches=[1.0] * 5)
    loop.optimizer.param_groups[0]["lr"] = 0.125
    loop.register_hooks([Recorder()])
    loop.train(0, 2)
    state = loop.state_dict()
    assert state["iteration"] == 2 and state["hooks"] == {"Recorder": {"calls": 8}}
    other, recorder = make_loop(SimpleTrainer), Recorder()
    other.register_hooks([recorder])
    other.load_state_dict(state)
    assert other.iter == 2 and recorder.calls == ["loaded"] * 8
    assert other.optimizer.param_groups[0]["lr"] == 0.125
    make_loop(SimpleTrainer).load_state_dict(state)  # a hook that is gone is no error


class Batches:
    def __iter__(self) -> Iterator[float]:
        while True:
            yield 0.5


class TinyTrainer(DefaultTrainer):
    """Detectron2's trainer around a model of one weight; all else is the engine's own."""

    def __init__(self, cfg: CfgNode) -> None:
        TrainerBase.__init__(self)
        self.cfg = self.auto_scale_workers(cfg, 1)
        net = Net()
        optimizer = build_optimizer(cfg, net)
        self._trainer = SimpleTrainer(net, Batches(), optimizer)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = DetectionCheckpointer(net, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> None:
        raise AssertionError("test is overridden")

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> None:
        raise AssertionError("test is overridden")

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: Any = None) -> dict:
        return {"toy": {"weight": model.w.item()}}


def make_config(folder: Path, *opts: object) -> CfgNode:
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            *("OUTPUT_DIR", str(folder), "MODEL.DEVICE", "cpu", "SEED", 1, "TEST.EVAL_PERIOD", 4),
            *("SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.WARMUP_ITERS", 0),
            *("SOLVER.BASE_LR", 0.5, "SOLVER.STEPS", (3,), "SOLVER.WEIGHT_DECAY", 0.0),
            *("SOLVER.MOMENTUM", 0.0, *opts),
        ]
    )
    return cfg


def test_default_trainer_runs_and_resumes(tmp_path: Path) -> None:
    trainer = TinyTrainer(make_config(tmp_path))
    trainer.resume_or_load(resume=True)
    assert (trainer.start_iter, trainer.max_iter) == (0, 6)
    assert trainer.train() is None
    final = 2.0 - 3 * 0.5 * 0.5 - 3 * 0.05 * 0.5
    assert trainer.model.w.item() == pytest.approx(final)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    found = {path.name for path in tmp_path.iterdir()}
    assert {"model_0000003.pth", "model_final.pth", "metrics.json", "last_checkpoint"} <= found
    assert any(name.startswith("events.out.tfevents") for name in found)
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    scores = [line["toy/weight"] for line in lines if "toy/weight" in line]
    assert scores[-1] == pytest.approx(final)
    (step,) = [line for line in lines if "total_loss" in line]
    assert step["iteration"] == 5
    assert {"loss_a", "loss_b", "lr", "time", "data_time", "eta_seconds"} <= set(step)

    (tmp_path / "last_checkpoint").write_text("model_0000003.pth")
    resumed = TinyTrainer(make_config(tmp_path))
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 4
    resumed.train()
    assert resumed.model.w.item() == pytest.approx(final)

    fresh = TinyTrainer(make_config(tmp_path, "MODEL.WEIGHTS", str(tmp_path / "model_final.pth")))
    fresh.resume_or_load(resume=False)
    assert fresh.start_iter == 0
    assert fresh.model.w.item() == pytest.approx(final)
    assert fresh.optimizer.param_groups[0]["lr"] == 0.5


def test_expected_results(tmp_path: Path) -> None:
    results = ("TEST.EXPECTED_RESULTS", [["toy", "weight", 1.175, 0.01]])
    assert TinyTrainer(make_config(tmp_path, *results)).train()["toy"]["weight"] < 1.2
    wrong = ("TEST.EXPECTED_RESULTS", [["toy", "weight", 9.0, 0.01]])
    with pytest.raises(SystemExit if ENGINE == "detectron2" else ValueError):
        TinyTrainer(make_config(tmp_path, *wrong)).train()


def test_workers_are_scaled() -> None:
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            *("SOLVER.IMS_PER_BATCH", 16, "SOLVER.BASE_LR", 0.1, "SOLVER.MAX_ITER", 5000),
            *("SOLVER.STEPS", (4000,), "SOLVER.CHECKPOINT_PERIOD", 1000),
            *("SOLVER.WARMUP_ITERS", 100, "TEST.EVAL_PERIOD", 500),
        ]
    )
    cfg.freeze()
    assert DefaultTrainer.auto_scale_workers(cfg, 16) is cfg
    cfg = cfg.clone()
    cfg.defrost()
    cfg.SOLVER.REFERENCE_WORLD_SIZE = 8
    cfg.freeze()
    assert DefaultTrainer.auto_scale_workers(cfg, 8) is cfg
    scaled = DefaultTrainer.auto_scale_workers(cfg, 16)
    assert scaled.is_frozen() and cfg.SOLVER.MAX_ITER == 5000
    solver = scaled.SOLVER
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.MAX_ITER) == (32, 0.2, 2500)
    assert (solver.STEPS, solver.CHECKPOINT_PERIOD, solver.WARMUP_ITERS) == ((2000,), 500, 50)
    assert (scaled.TEST.EVAL_PERIOD, solver.REFERENCE_WORLD_SIZE) == (250, 16)


def test_setup_leaves_config_and_log_and_seeds(tmp_path: Path) -> None:
    cfg = make_config(tmp_path / "run")
    draws = []
    for _ in range(2):
        default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
        draws.append(torch.rand(()).item())
    assert draws[0] == draws[1]
    again = get_cfg()
    again.merge_from_file(str(tmp_path / "run" / "config.yaml"))
    assert again.OUTPUT_DIR == cfg.OUTPUT_DIR and again.SOLVER.MAX_ITER == 6
    assert (tmp_path / "run" / "log.txt").is_file()  # Detectron2 holds back what is in it


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 has the mappers that read these keys")
def test_setup_warns_of_keys_that_nothing_reads(tmp_path: Path) -> None:
    def warnings_of(name: str, *opts: object) -> list[str]:
        cfg = make_config(tmp_path / name, "INPUT.FORMAT", "RGB", *opts)
        default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
        log = (tmp_path / name / "log.txt").read_text().splitlines()
        return [line for line in log if "has no effect" in line]

    assert not warnings_of("default")
    shipped = ("INPUT.MASK_FORMAT", "bitmask", "INPUT.MIN_SIZE_TEST", 0)
    assert not warnings_of("shipped", *shipped)
    (line,) = warnings_of("resized", "INPUT.MIN_SIZE_TRAIN", (640,), *shipped)
    assert "INPUT.MIN_SIZE_TRAIN is (640,)" in line
    (line,) = warnings_of("cut", "INPUT.CROP.ENABLED", True)
    assert "INPUT.CROP.ENABLED is True" in line
    (line,) = warnings_of("bgr", "INPUT.FORMAT", "BGR")
    assert "INPUT.FORMAT is 'BGR'" in line
    (line,) = warnings_of("sampled", "DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler")
    assert "RepeatFactorTrainingSampler" in line


def test_writers_of_a_run(tmp_path: Path) -> None:
    writers = engine_module("engine.defaults").default_writers(str(tmp_path / "run"), 3)
    names = [type(writer).__name__ for writer in writers]
    assert names == ["CommonMetricPrinter", "JSONWriter", "TensorboardXWriter"]
    for writer in writers:
        writer.close()
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_trainer_needs_a_step() -> None:
    class Nothing(TrainerBase):
        def run_step(self) -> None:
            pass

    trainer = Nothing()
    trainer.train(2, 5)
    assert (trainer.start_iter, trainer.iter, trainer.storage.iter) == (2, 5, 5)
