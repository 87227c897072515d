"""Hooks: timing, learning rate, checkpoints, evaluation and writers."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.timer import Timer

from vps_d2.d2.embedded.engine.train_loop import HookBase
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.events import EventWriter

__all__ = [
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]

_logger = logging.getLogger(__name__)


class IterationTimer(HookBase):
    """Puts the seconds of each iteration as ``time``, and logs those of the whole run at its end.

    Register it first: it measures the time from its ``before_step`` to its ``after_step``.

    Args:
        warmup_iter: first iterations that are not counted.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        self._warmup_iter = warmup_iter
        self._step_timer = Timer()
        self._steps_timer = Timer()
        self._start = time.perf_counter()

    def before_train(self) -> None:
        """Start the clock."""
        self._restart()
        self._steps_timer.pause()

    def _restart(self) -> None:
        self._start = time.perf_counter()
        self._steps_timer.reset()

    def after_train(self) -> None:
        """Log the time of the run, and of an iteration."""
        total = time.perf_counter() - self._start
        steps = self._steps_timer.seconds()
        count = self.trainer.storage.iter + 1 - self.trainer.start_iter - self._warmup_iter
        if count > 0 and steps > 0:
            _logger.info(
                "Overall training speed: %d iterations in %s (%.4f s / it)",
                count,
                timedelta(seconds=int(steps)),
                steps / count,
            )
        _logger.info(
            "Total training time: %s (%s on hooks)",
            timedelta(seconds=int(total)),
            timedelta(seconds=int(total - steps)),
        )

    def before_step(self) -> None:
        """Start the clock of the iteration."""
        self._step_timer.reset()
        self._steps_timer.resume()

    def after_step(self) -> None:
        """Put the time of the iteration."""
        done = self.trainer.storage.iter - self.trainer.start_iter + 1
        if done >= self._warmup_iter:
            self.trainer.storage.put_scalars(time=self._step_timer.seconds())
        else:
            self._restart()
        self._steps_timer.pause()


class PeriodicWriter(HookBase):
    """Calls writers every few iterations, and at the end.

    Args:
        writers: to be called, and closed at the end.
        period: iterations.
    """

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            assert isinstance(writer, EventWriter), f"{writer!r} is not an EventWriter"
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        """Write when it is due, and after the last iteration."""
        done = self.trainer.iter + 1
        if done % self._period == 0 or done == self.trainer.max_iter:
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        """Write what other hooks stored at the end, and close the writers."""
        for writer in self._writers:
            writer.write()
            writer.close()


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's periodic checkpointer as a hook; saves ``model_final`` after the last iteration."""

    def before_train(self) -> None:
        """Learn the length of the run."""
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        """Save when it is due."""
        self.step(self.trainer.iter)


class LRScheduler(HookBase):
    """Steps the trainer's learning rate after each iteration, and puts it as ``lr``."""

    def __init__(self) -> None:
        self._shown_group = 0

    def before_train(self) -> None:
        """Choose the parameter group whose learning rate is shown."""
        self._shown_group = LRScheduler.get_best_param_group_id(self.trainer.optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: torch.optim.Optimizer) -> int:
        """Return the largest group; if all have size one, the first with the most frequent rate."""
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in optimizer.param_groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        """Put the rate of this iteration, and set that of the next."""
        rate = self.trainer.optimizer.param_groups[self._shown_group]["lr"]
        self.trainer.storage.put_scalar("lr", rate, smoothing_hint=False)
        self.trainer.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scheduler."""
        return self.trainer.scheduler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        self.trainer.scheduler.load_state_dict(state_dict)


class EvalHook(HookBase):
    """Evaluates every few iterations and at the end, and puts the scores.

    It must be registered in every process or in none.

    Args:
        eval_period: iterations; 0 to evaluate only at the end.
        eval_function: returns scores, as a dict or dicts in dicts.
        eval_after_train: evaluate at the end.
    """

    def __init__(
        self, eval_period: int, eval_function: Callable[[], Any], eval_after_train: bool = True
    ) -> None:
        self._period = eval_period
        self._function: Callable[[], Any] | None = eval_function
        self._eval_after_train = eval_after_train

    def after_step(self) -> None:
        """Evaluate when it is due, except at the end of training."""
        done = self.trainer.iter + 1
        if self._period > 0 and done % self._period == 0 and done != self.trainer.max_iter:
            self._evaluate()

    def after_train(self) -> None:
        """Evaluate after a run that was not interrupted."""
        if self._eval_after_train and self.trainer.iter + 1 >= self.trainer.max_iter:
            self._evaluate()
        # The function may refer to the trainer.
        self._function = None

    def _evaluate(self) -> None:
        assert self._function is not None, "the run is over"
        results = self._function()
        if results:
            assert isinstance(results, dict), f"an evaluation must return a dict, not {results!r}"
            self.trainer.storage.put_scalars(**_flatten(results), smoothing_hint=False)
        # Processes may take different times to evaluate.
        comm.synchronize()


def _flatten(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the scores of nested dicts by their paths, such as "bbox/AP50"."""
    flat: dict[str, float] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{name}/"))
            continue
        try:
            flat[f"{prefix}{name}"] = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"score {prefix}{name} is {value!r}, which is not a number") from error
    return flat
