from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.solver import build_optimizer
from vps_d2.engine import optimizer as project
from vps_d2.io.errors import UserError

build_lr_scheduler = engine_module("solver").build_lr_scheduler
Twins = Callable[[str], tuple[ModuleType, ModuleType]]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)
        self.same_head = self.head
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def settings(optimizer: torch.optim.Optimizer, net: Net) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in net.named_parameters()}
    return {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def make_config(*opts: object) -> CfgNode:
    cfg = get_vps_cfg()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY = 0.5, 0.01
    cfg.merge_from_list(list(opts))
    return cfg


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (build_optimizer, "SGD"),  # Detectron2 knows SGD alone
        (project.build_optimizer, "SGD"),
        (project.build_optimizer, "AdamW"),
    ],
)
def test_norms_and_biases_have_their_own_settings(build: Callable, name: str) -> None:
    net = Net()
    cfg = make_config("SOLVER.OPTIMIZER", name)
    optimizer = build(cfg, net)
    assert type(optimizer).__name__ == name
    found = settings(optimizer, net)
    assert found == {
        "conv.weight": (0.5, 0.01),
        "conv.bias": (0.5, 0.01),
        "norm.weight": (0.5, 0.0),
        "norm.bias": (0.5, 0.0),
        "head.weight": (0.5, 0.01),
        "head.bias": (0.5, 0.01),
    }
    assert len(optimizer.param_groups) == 2
    cfg.merge_from_list(["SOLVER.BIAS_LR_FACTOR", 2.0, "SOLVER.WEIGHT_DECAY_BIAS", 0.25])
    found = settings(build(cfg, net), net)
    assert found["norm.bias"] == found["conv.bias"] == (1.0, 0.25)
    assert found["norm.weight"] == (0.5, 0.0)


def test_unknown_optimizer_is_named() -> None:
    with pytest.raises(UserError, match=r"SOLVER.OPTIMIZER must be one of SGD, AdamW, not Adam"):
        project.build_optimizer(make_config("SOLVER.OPTIMIZER", "Adam"), Net())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("value", ([-1.0, 1.0], [0.5])), ("norm", ([-0.6, 0.8], [0.5]))],
)
def test_gradients_are_clipped_parameter_by_parameter(kind: str, expected: tuple) -> None:
    net = nn.Module()
    net.a, net.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    cfg = make_config(
        *("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", kind),
        *("SOLVER.BASE_LR", 1.0, "SOLVER.WEIGHT_DECAY", 0.0),
    )
    for build in (build_optimizer, project.build_optimizer):
        net.a.data.zero_(), net.b.data.zero_()
        optimizer = build(cfg, net)
        net.a.grad, net.b.grad = torch.tensor([3.0, -4.0]), torch.tensor([-0.5])
        optimizer.step()
        torch.testing.assert_close(net.a.data, torch.tensor(expected[0]))
        torch.testing.assert_close(net.b.data, torch.tensor(expected[1]))


def test_gradients_of_the_whole_model_are_clipped() -> None:
    net = nn.Module()
    net.a, net.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    opts = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE")
    cfg = make_config(*opts, "full_model", "SOLVER.BASE_LR", 1.0, "SOLVER.MOMENTUM", 0.0)
    cfg.freeze()
    optimizer = project.build_optimizer(cfg, net)
    net.a.grad, net.b.grad = torch.tensor([3.0]), torch.tensor([-4.0])
    optimizer.step()
    torch.testing.assert_close([net.a.item(), net.b.item()], [-0.6, 0.8])
    with pytest.raises(UserError, match="whole"):
        project.build_optimizer(make_config(*opts, "whole"), net)


def rates(cfg: CfgNode, count: int) -> list[float]:
    optimizer = build_optimizer(cfg, nn.Linear(1, 1))
    scheduler = build_lr_scheduler(cfg, optimizer)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(found) < count:
            scheduler.step()
    return found


SCHEDULE = ("SOLVER.BASE_LR", 1.0, "SOLVER.MAX_ITER", 10, "SOLVER.WARMUP_ITERS", 2)


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        (
            ("SOLVER.STEPS", (4, 8, 20), "SOLVER.WARMUP_FACTOR", 0.5),
            [0.5, 0.75, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01],
        ),
        (
            (
                *("SOLVER.LR_SCHEDULER_NAME", "WarmupStepWithFixedGammaLR"),
                *("SOLVER.NUM_DECAYS", 1, "SOLVER.WARMUP_METHOD", "constant"),
                *("SOLVER.WARMUP_FACTOR", 0.25),
            ),
            [0.25, 0.25, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1],
        ),
        (
            (
                *("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.WARMUP_ITERS", 0),
                *("SOLVER.BASE_LR_END", 0.5),
            ),
            [1, 0.9878, 0.9523, 0.8969, 0.8273, 0.75, 0.6727, 0.6031, 0.5477, 0.5122],
        ),
    ],
)
def test_learning_rates(opts: tuple, expected: list[float]) -> None:
    cfg = get_cfg()
    cfg.merge_from_list([*SCHEDULE, *opts])
    assert rates(cfg, 10) == pytest.approx(expected, abs=1e-4)


def test_learning_rate_is_resumed() -> None:
    cfg = get_cfg()
    cfg.merge_from_list([*SCHEDULE, "SOLVER.STEPS", (4, 8)])
    optimizer = build_optimizer(cfg, nn.Linear(1, 1))
    scheduler = build_lr_scheduler(cfg, optimizer)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert scheduler.state_dict() == {"base_lrs": [1.0], "last_epoch": 5}
    other = build_lr_scheduler(cfg, build_optimizer(cfg, nn.Linear(1, 1)))
    other.load_state_dict(scheduler.state_dict())
    assert other.get_lr() == pytest.approx([0.1])


def test_unknown_schedule() -> None:
    cfg = get_cfg()
    cfg.SOLVER.LR_SCHEDULER_NAME = "Warmup"
    with pytest.raises(ValueError, match="Warmup"):
        build_lr_scheduler(cfg, build_optimizer(cfg, nn.Linear(1, 1)))


def test_both_engines_have_the_same_rates(twins: Twins) -> None:
    for name in ("WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"):
        for rescale in (False, True):
            found = []
            for solver in twins("solver"):
                cfg = get_cfg()
                cfg.merge_from_list(
                    [*SCHEDULE, "SOLVER.LR_SCHEDULER_NAME", name, "SOLVER.STEPS", (4, 8)]
                )
                cfg.SOLVER.RESCALE_INTERVAL = rescale
                optimizer = solver.build_optimizer(cfg, nn.Linear(1, 1))
                scheduler = solver.build_lr_scheduler(cfg, optimizer)
                multiples = [scheduler._multiplier(step / 10) for step in range(10)]
                found.append(multiples)
            assert found[0] == pytest.approx(found[1], abs=1e-9)
