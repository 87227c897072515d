"""Optimizers."""

from collections.abc import Callable

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.solver import build_optimizer as build_sgd
from vps_d2.d2.solver import get_default_optimizer_params
from vps_d2.d2.solver.build import maybe_add_gradient_clipping
from vps_d2.errors import UserError


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer that SOLVER.OPTIMIZER names.

    Learning rate, weight decay with its exceptions for norms and biases, and gradient clipping
    follow SOLVER's keys, whose meaning is Detectron2's.

    Raises:
        UserError: if the name is unknown.
    """
    if cfg.SOLVER.OPTIMIZER not in _OPTIMIZERS:
        raise UserError(
            f'SOLVER.OPTIMIZER "{cfg.SOLVER.OPTIMIZER}" is no optimizer; '
            f"use one of {', '.join(_OPTIMIZERS)}."
        )
    return _OPTIMIZERS[cfg.SOLVER.OPTIMIZER](cfg, model)


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
