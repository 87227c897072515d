"""Optimizers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.solver import build_optimizer as build_sgd
from vps_d2.d2.solver import get_default_optimizer_params
from vps_d2.d2.solver.build import maybe_add_gradient_clipping
from vps_d2.io.errors import UserError


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer that SOLVER.OPTIMIZER names.

    Learning rate, weight decay with its exceptions for norms and biases, and gradient clipping
    follow SOLVER's keys, as in Detectron2. Detectron2 clips each parameter by itself; with
    CLIP_GRADIENTS.CLIP_TYPE "full_model", the norm over all of them is clipped. The rate of a
    backbone is multiplied by BACKBONE_LR_FACTOR.

    Raises:
        UserError: if the optimizer or the type of clipping is unknown.
    """
    if cfg.SOLVER.OPTIMIZER not in _OPTIMIZERS:
        raise UserError(
            f"SOLVER.OPTIMIZER must be one of {', '.join(_OPTIMIZERS)}, not {cfg.SOLVER.OPTIMIZER}."
        )
    clip = cfg.SOLVER.CLIP_GRADIENTS
    if clip.ENABLED and clip.CLIP_TYPE not in ("value", "norm", "full_model"):
        raise UserError(
            "SOLVER.CLIP_GRADIENTS.CLIP_TYPE must be one of value, norm, full_model, not "
            f"{clip.CLIP_TYPE}."
        )
    if not clip.ENABLED or clip.CLIP_TYPE != "full_model":
        optimizer = _OPTIMIZERS[cfg.SOLVER.OPTIMIZER](cfg, model)
        return _slow_backbone(optimizer, model, cfg.SOLVER.BACKBONE_LR_FACTOR)
    # Detectron2 does not know this type.
    unclipped = cfg.clone()
    unclipped.defrost()
    unclipped.SOLVER.CLIP_GRADIENTS.ENABLED = False
    optimizer = _OPTIMIZERS[cfg.SOLVER.OPTIMIZER](unclipped, model)
    optimizer = _clip_full_model(optimizer, clip.CLIP_VALUE, clip.NORM_TYPE)
    return _slow_backbone(optimizer, model, cfg.SOLVER.BACKBONE_LR_FACTOR)


def _slow_backbone(
    optimizer: torch.optim.Optimizer, model: nn.Module, factor: float
) -> torch.optim.Optimizer:
    """Multiply the learning rates of the weights under a "backbone" by a factor."""
    backbone = {
        parameter
        for name, parameter in model.named_parameters()
        if "backbone" in name.split(".") and parameter.requires_grad
    }
    if factor == 1 or not backbone:
        return optimizer
    for group in list(optimizer.param_groups):
        slowed = [each for each in group["params"] if each in backbone]
        group["params"] = [each for each in group["params"] if each not in backbone]
        if slowed:
            optimizer.add_param_group({**group, "params": slowed, "lr": group["lr"] * factor})
    return optimizer


def _clip_full_model(
    optimizer: torch.optim.Optimizer, limit: float, norm_type: float
) -> torch.optim.Optimizer:
    def clip_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        nn.utils.clip_grad_norm_(parameters, limit, norm_type)

    optimizer.register_step_pre_hook(clip_gradients)
    return optimizer


def _build_adamw(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    # Decoupled weight decay: arXiv 1711.05101.
    solver = cfg.SOLVER
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    optimizer = torch.optim.AdamW(
        groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY, foreach=True
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


_OPTIMIZERS: dict[str, Callable[[CfgNode, nn.Module], torch.optim.Optimizer]] = {
    "SGD": build_sgd,
    "AdamW": _build_adamw,
}
