"""The exponential moving average of a model's weights, as an option of training (MODEL_EMA).

The average changes less from one step to the next than the weights do, and often scores better.
Keys of the configuration, and ``ema_state`` in checkpoints, have the names that d2go gives them.
Where a checkpoint has an average, models are evaluated and used with it; training goes on from the
weights themselves.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.engine import HookBase
from vps_d2.io.checkpoints import AVERAGE

__all__ = ["AverageHook", "WeightAverage", "averaged", "keep_average"]


class WeightAverage:
    """The moving average of what changes in a model while it is trained.

    Args:
        model: whose weights are averaged.
        decay: share of the average that an update keeps, 0-1.
        warm_up: if 0 or more, update ``n`` keeps no more than ``(1 + n) / (warm_up + n)``, so that
            the first weights are soon forgotten; negative for no such limit.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, warm_up: int = -1) -> None:
        self.model, self.decay, self.warm_up = model, decay, warm_up
        self._average: dict[str, torch.Tensor] = {}

    def start(self) -> None:
        """Begin with the weights as they are."""
        self._average = {name: value.clone() for name, value in self._weights().items()}

    @property
    def is_started(self) -> bool:
        """Whether there is an average."""
        return bool(self._average)

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Take in the weights.

        Args:
            count: number of this update, from 1 on.
        """
        decay = self.decay
        if self.warm_up >= 0:
            decay = min(decay, (1 + count) / (self.warm_up + count))
        for name, value in self._weights().items():
            self._average[name].lerp_(value, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average for its weights in this context."""
        weights = self._weights()
        kept = {name: value.clone() for name, value in weights.items()}
        try:
            _copy(self._average, weights)
            yield
        finally:
            _copy(kept, weights)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the average by the names of the weights."""
        return self._average

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over an average.

        Raises:
            ValueError: if it is one of another model.
        """
        weights = self._weights()
        shapes = {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
        if shapes != {name: tuple(value.shape) for name, value in weights.items()}:
            raise ValueError("its average of weights is of another model")
        self._average = {name: state[name].to(value) for name, value in weights.items()}

    def _weights(self) -> dict[str, torch.Tensor]:
        """Return what is averaged; frozen parameters, and whole numbers, stay as they are."""
        frozen = {name for name, each in self.model.named_parameters() if not each.requires_grad}
        return {
            name: value
            for name, value in self.model.state_dict().items()
            if value.is_floating_point() and name not in frozen
        }


@torch.no_grad()
def _copy(source: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])


class AverageHook(HookBase):
    """Updates an average after each step; register it before the hooks that save and evaluate.

    Args:
        average: of the model that is trained.
    """

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def before_train(self) -> None:
        """Begin with the weights that were loaded, unless the run goes on with an average."""
        if self.trainer.start_iter == 0 or not self.average.is_started:
            self.average.start()

    def after_step(self) -> None:
        """Take in the new weights."""
        self.average.update(self.trainer.iter + 1)


def keep_average(cfg: CfgNode, model: nn.Module) -> dict[str, WeightAverage]:
    """Let a model keep an average of its weights, if MODEL_EMA.ENABLED.

    Returns:
        it, by the name that it has in checkpoints and as an attribute of the model.
    """
    if not cfg.MODEL_EMA.ENABLED:
        return {}
    average = WeightAverage(model, cfg.MODEL_EMA.DECAY, cfg.MODEL_EMA.DECAY_WARM_UP_FACTOR)
    setattr(model, AVERAGE, average)
    return {AVERAGE: average}


@contextmanager
def averaged(model: nn.Module) -> Iterator[None]:
    """Let a model that keeps an average have it for its weights in this context.

    Args:
        model: perhaps wrapped for several processes.
    """
    average = getattr(getattr(model, "module", model), AVERAGE, None)
    if isinstance(average, WeightAverage) and average.is_started:
        with average.applied():
            yield
    else:
        yield
