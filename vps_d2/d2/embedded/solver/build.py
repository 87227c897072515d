"""Optimizer and learning rate of a configuration."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from fvcore.common.param_scheduler import (
    CosineParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.solver.lr_scheduler import LRMultiplier, WarmupParamScheduler

__all__ = [
    "build_lr_scheduler",
    "build_optimizer",
    "get_default_optimizer_params",
    "maybe_add_gradient_clipping",
]

# _NormBase is the base of every batch and instance normalization.
_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the SGD optimizer that SOLVER describes.

    Args:
        cfg: configuration.
        model: whose parameters are optimized.
    """
    solver = cfg.SOLVER
    optimizer = torch.optim.SGD(
        get_default_optimizer_params(
            model,
            base_lr=solver.BASE_LR,
            weight_decay_norm=solver.WEIGHT_DECAY_NORM,
            bias_lr_factor=solver.BIAS_LR_FACTOR,
            weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        ),
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
        foreach=True,
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


def maybe_add_gradient_clipping(
    cfg: CfgNode, optimizer: torch.optim.Optimizer
) -> torch.optim.Optimizer:
    """Make an optimizer clip gradients before each step, if SOLVER.CLIP_GRADIENTS asks for it.

    Each parameter is clipped by itself, also by norm.

    Args:
        cfg: configuration.
        optimizer: changed in place.

    Returns:
        the optimizer.

    Raises:
        ValueError: if the type of clipping is neither "value" nor "norm".
    """
    clip = cfg.SOLVER.CLIP_GRADIENTS
    if not clip.ENABLED:
        return optimizer
    if clip.CLIP_TYPE not in ("value", "norm"):
        raise ValueError(
            f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE must be value or norm, not {clip.CLIP_TYPE!r}"
        )
    limit, norm_type = clip.CLIP_VALUE, clip.NORM_TYPE

    def clip_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            if clip.CLIP_TYPE == "value":
                nn.utils.clip_grad_value_(group["params"], limit)
                continue
            for parameter in group["params"]:
                nn.utils.clip_grad_norm_(parameter, limit, norm_type)

    optimizer.register_step_pre_hook(clip_gradients)
    return optimizer


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float | None = None,
) -> list[dict[str, Any]]:
    """Sort a model's trainable parameters into groups of the same settings.

    Args:
        model: whose parameters are taken, each once.
        base_lr: learning rate.
        weight_decay_norm: weight decay of normalization layers; None for that of the others.
        bias_lr_factor: multiple of ``base_lr`` for parameters called "bias".
        weight_decay_bias: their weight decay, also in normalization layers; None for that of the
            others.

    Returns:
        groups for the constructor of an optimizer.
    """
    bias: dict[str, float] = {}
    if bias_lr_factor != 1.0:
        bias["lr"] = base_lr * bias_lr_factor
    if weight_decay_bias is not None:
        bias["weight_decay"] = weight_decay_bias
    groups: dict[tuple, list[nn.Parameter]] = {}
    for layer, name, parameter in _trainable(model):
        settings = {"lr": base_lr}
        if isinstance(layer, _NORMS) and weight_decay_norm is not None:
            settings["weight_decay"] = weight_decay_norm
        if name == "bias":
            settings.update(bias)
        groups.setdefault(tuple(settings.items()), []).append(parameter)
    return [{**dict(settings), "params": params} for settings, params in groups.items()]


def _trainable(model: nn.Module) -> Iterable[tuple[nn.Module, str, nn.Parameter]]:
    seen: set[nn.Parameter] = set()
    for layer in model.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield layer, name, parameter


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
    """Build the schedule that SOLVER.LR_SCHEDULER_NAME names, with its warm-up.

    Raises:
        ValueError: if the name is unknown.
    """
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME not in _SCHEDULES:
        raise ValueError(
            f"SOLVER.LR_SCHEDULER_NAME {solver.LR_SCHEDULER_NAME!r} is not one of "
            + ", ".join(_SCHEDULES)
        )
    schedule = WarmupParamScheduler(
        _SCHEDULES[solver.LR_SCHEDULER_NAME](solver),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
        solver.RESCALE_INTERVAL,
    )
    return LRMultiplier(optimizer, schedule, solver.MAX_ITER)


def _multi_step(solver: CfgNode) -> ParamScheduler:
    steps = [step for step in solver.STEPS if step <= solver.MAX_ITER]
    if len(steps) < len(solver.STEPS):
        logging.getLogger(__name__).warning("SOLVER.STEPS beyond SOLVER.MAX_ITER are left out.")
    values = [solver.GAMMA**count for count in range(len(steps) + 1)]
    return MultiStepParamScheduler(values, milestones=steps, num_updates=solver.MAX_ITER)


def _cosine(solver: CfgNode) -> ParamScheduler:
    end = solver.BASE_LR_END / solver.BASE_LR
    assert 0.0 <= end <= 1.0, "SOLVER.BASE_LR_END must lie between 0 and SOLVER.BASE_LR"
    return CosineParamScheduler(1, end)


class _Steps(StepWithFixedGammaParamScheduler):
    def __call__(self, where: float) -> float:
        # After the last iteration, the rate is read once more, where fvcore has no value.
        return super().__call__(min(where, 1 - 1e-5))


def _fixed_gamma(solver: CfgNode) -> ParamScheduler:
    return _Steps(
        base_value=1.0,
        num_decays=solver.NUM_DECAYS,
        gamma=solver.GAMMA,
        num_updates=solver.MAX_ITER,
    )


_SCHEDULES: dict[str, Callable[[CfgNode], ParamScheduler]] = {
    "WarmupMultiStepLR": _multi_step,
    "WarmupCosineLR": _cosine,
    "WarmupStepWithFixedGammaLR": _fixed_gamma,
}
