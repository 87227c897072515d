"""Hooks: timing, learning rate, checkpoints, evaluation, and writing what happened."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer

from vps_d2.d2.embedded.engine.train_loop import HookBase
from vps_d2.d2.embedded.solver import LRMultiplier
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.events import EventWriter

__all__ = [
    "CallbackHook",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]

_logger = logging.getLogger(__name__)


class CallbackHook(HookBase):
    """A hook made of functions; each takes the trainer.

    Args:
        before_train: called before the first iteration.
        after_train: called after the last iteration.
        before_step: called before each iteration.
        after_step: called after each iteration.
    """

    def __init__(
        self,
        *,
        before_train: Callable[[Any], Any] | None = None,
        after_train: Callable[[Any], Any] | None = None,
        before_step: Callable[[Any], Any] | None = None,
        after_step: Callable[[Any], Any] | None = None,
    ) -> None:
        self._functions = {
            "before_train": before_train,
            "after_train": after_train,
            "before_step": before_step,
            "after_step": after_step,
        }

    def _call(self, moment: str) -> None:
        function = self._functions.get(moment)
        if function is not None:
            function(self.trainer)

    def before_train(self) -> None:
        """Call the function of this moment."""
        self._call("before_train")

    def after_train(self) -> None:
        """Call the function of this moment, and let go of all: they may hold the trainer."""
        self._call("after_train")
        self._functions.clear()

    def before_step(self) -> None:
        """Call the function of this moment."""
        self._call("before_step")

    def after_step(self) -> None:
        """Call the function of this moment."""
        self._call("after_step")


class IterationTimer(HookBase):
    """Puts the seconds of each iteration as ``time``, and logs the whole run's at its end.

    Register it first: it times what lies between its ``before_step`` and its ``after_step``.

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
    """Lets writers write every few iterations, and at the end.

    Args:
        writers: to be called, and closed at the end.
        period: iterations.
    """

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            assert isinstance(writer, EventWriter), f"{writer!r} is no EventWriter"
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        """Write when it is time, and after the last iteration."""
        done = self.trainer.iter + 1
        if done % self._period == 0 or done == self.trainer.max_iter:
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        """Write what other hooks put at the end, and close the writers."""
        for writer in self._writers:
            writer.write()
            writer.close()


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's, as a hook: saves every few iterations, and ``model_final`` after the last."""

    def before_train(self) -> None:
        """Learn the length of the run."""
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        """Save when it is time."""
        self.step(self.trainer.iter)


class LRScheduler(HookBase):
    """Steps the learning rate after each iteration, and puts it as ``lr``.

    Args:
        optimizer: None for the trainer's.
        scheduler: of PyTorch or of fvcore; None for the trainer's.
    """

    def __init__(self, optimizer: Any = None, scheduler: Any = None) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._shown_group = 0

    @property
    def scheduler(self) -> Any:
        """The scheduler in use."""
        return self._scheduler or self.trainer.scheduler

    def before_train(self) -> None:
        """Choose the parameter group whose rate is shown."""
        self._optimizer = self._optimizer or self.trainer.optimizer
        if isinstance(self.scheduler, ParamScheduler):
            self._scheduler = LRMultiplier(
                self._optimizer,
                self.scheduler,
                self.trainer.max_iter,
                last_iter=self.trainer.iter - 1,
            )
        self._shown_group = LRScheduler.get_best_param_group_id(self._optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: torch.optim.Optimizer) -> int:
        """Return the largest group, or the first with the commonest rate if all have size one."""
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in optimizer.param_groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        """Put the rate of this iteration, and set that of the next."""
        rate = self._optimizer.param_groups[self._shown_group]["lr"]
        self.trainer.storage.put_scalar("lr", rate, smoothing_hint=False)
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a PyTorch scheduler; fvcore's have none."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.LRScheduler):
            return self.scheduler.state_dict()
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.LRScheduler):
            self.scheduler.load_state_dict(state_dict)


class EvalHook(HookBase):
    """Evaluates every few iterations and at the end, and puts the scores.

    It must be registered in every process or in none.

    Args:
        eval_period: iterations; 0 evaluates at the end alone.
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
        """Evaluate when it is time; the end of training has its own turn."""
        done = self.trainer.iter + 1
        if self._period > 0 and done % self._period == 0 and done != self.trainer.max_iter:
            self._evaluate()

    def after_train(self) -> None:
        """Evaluate after a run that ended well."""
        if self._eval_after_train and self.trainer.iter + 1 >= self.trainer.max_iter:
            self._evaluate()
        # It may hold the trainer.
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
            raise ValueError(f"score {prefix}{name} is {value!r}, which is no number") from error
    return flat
