"""Learning rates of the parts of a model."""

import pytest
import torch
from torch import nn

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.engine.optimizer import build_optimizer


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3).requires_grad_(False))
        self.head = nn.Linear(3, 1)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize(("factor", "clip"), [(1.0, "value"), (0.1, "full_model"), (0.0, "norm")])
def test_a_backbone_learns_at_its_own_rate(name: str, factor: float, clip: str) -> None:
    cfg, model = get_vps_cfg(), Detector()
    cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR = name, 0.5
    cfg.SOLVER.BIAS_LR_FACTOR, cfg.SOLVER.WEIGHT_DECAY_BIAS = 2.0, 0.0
    cfg.SOLVER.BACKBONE_LR_FACTOR = factor
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = clip
    optimizer = build_optimizer(cfg, model)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = {names[each]: group for group in optimizer.param_groups for each in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups) == 4
    assert {name: group["lr"] for name, group in groups.items()} == {
        "backbone.0.weight": 0.5 * factor,
        "backbone.0.bias": 1.0 * factor,
        "head.weight": 0.5,
        "head.bias": 1.0,
    }
    assert groups["backbone.0.bias"]["weight_decay"] == 0
    before = {name: parameter.clone() for parameter, name in names.items()}
    model.head(model.backbone(torch.ones(1, 2))).sum().backward()
    optimizer.step()
    moved = {name for parameter, name in names.items() if (parameter != before[name]).any()}
    assert {"head.weight", "head.bias"} <= moved
    assert bool(moved & {"backbone.0.weight", "backbone.0.bias"}) == (factor > 0)
