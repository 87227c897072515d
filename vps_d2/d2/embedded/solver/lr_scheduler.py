"""Learning rates over a run, as multiples of the base learning rate."""

from typing import Any

import torch
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["LRMultiplier", "WarmupParamScheduler"]


class WarmupParamScheduler(CompositeParamScheduler):
    """Adds a warm-up to a schedule.

    Args:
        scheduler: the schedule, from the position in the run (0-1) to a multiple.
        warmup_factor: multiple of the schedule's first value that the warm-up starts at.
        warmup_length: share of the run (0-1) that it takes.
        warmup_method: "linear" climbs to the schedule, "constant" stays at the start.
        rescale_interval: fit the whole schedule into the part of the run after the warm-up;
            otherwise the warm-up replaces the beginning of the schedule.

    Raises:
        ValueError: if the method is unknown.
    """

    def __init__(
        self,
        scheduler: ParamScheduler,
        warmup_factor: float,
        warmup_length: float,
        warmup_method: str = "linear",
        rescale_interval: bool = False,
    ) -> None:
        start = warmup_factor * scheduler(0.0)
        warmup: ParamScheduler
        if warmup_method == "constant":
            warmup = ConstantParamScheduler(start)
        elif warmup_method == "linear":
            end = scheduler(0.0 if rescale_interval else warmup_length)
            warmup = LinearParamScheduler(start, end)
        else:
            raise ValueError(f"warm-up method {warmup_method!r} is not one of linear, constant")
        super().__init__(
            [warmup, scheduler],
            lengths=[warmup_length, 1 - warmup_length],
            interval_scaling=["rescaled", "rescaled" if rescale_interval else "fixed"],
        )


class LRMultiplier(LRScheduler):
    """A PyTorch scheduler that multiplies each group's initial learning rate by a schedule.

    Args:
        optimizer: whose learning rates are set.
        multiplier: the schedule, from the position in the run (0-1) to a multiple.
        max_iter: iterations of the run.

    Raises:
        ValueError: if the schedule is not one of fvcore's.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        multiplier: ParamScheduler,
        max_iter: int,
    ) -> None:
        if not isinstance(multiplier, ParamScheduler):
            raise ValueError(f"{multiplier!r} is not a ParamScheduler of fvcore")
        self._multiplier = multiplier
        self._max_iter = max_iter
        super().__init__(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the run; the schedule itself comes from the configuration."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rate of each parameter group at the current iteration."""
        multiple = self._multiplier(self.last_epoch / self._max_iter)
        return [base_lr * multiple for base_lr in self.base_lrs]
