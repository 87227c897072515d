"""Training for a given time instead of a number of iterations (SOLVER.MAX_MINUTES)."""

import logging
import time
from typing import Any

from vps_d2.d2.engine import HookBase
from vps_d2.d2.utils import comm

__all__ = ["TimeIsUp", "TimeLimit"]


class TimeIsUp(BaseException):
    """A run has used its time. It is no error, so it is no Exception, which would be logged."""


class TimeLimit(HookBase):
    """Ends a run after a time, by which the learning rate falls as it else does by iterations.

    Register it before all other hooks: in the last iteration they then see that it is the last. A
    resumed run has what is left of the time.

    Args:
        seconds: for the iterations; building the model and reading the data sets comes before.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._used = 0.0
        self._start = time.monotonic()

    def before_train(self) -> None:
        """Start the clock."""
        self._start = time.monotonic() - self._used
        if self._share() >= 1:
            self._end(self.trainer.start_iter)

    def before_step(self) -> None:
        """Stop the loop after the last iteration.

        Raises:
            TimeIsUp: if the time is over.
        """
        if self.trainer.iter >= self.trainer.max_iter:
            raise TimeIsUp

    def after_step(self) -> None:
        """Set the learning rate's schedule by the clock, and notice when the time is over."""
        done = self.trainer.iter + 1
        share = self._share()
        # The schedule looks up the iteration over the number of iterations; both engines call
        # that number so.
        self.trainer.scheduler._max_iter = done / min(share, 1)
        if share >= 1:
            self._end(done)

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds that were used."""
        return {"seconds": float(self._used)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the seconds that were used."""
        self._used = state["seconds"]

    def _share(self) -> float:
        self._used = time.monotonic() - self._start
        # All processes must end together.
        used = comm.all_gather(self._used)[0] if comm.get_world_size() > 1 else self._used
        return max(used / self.seconds, 1e-9)

    def _end(self, done: int) -> None:
        logging.getLogger(__name__).info("The time is up after %d iterations.", done)
        self.trainer.max_iter = done
        for hook in self.trainer._hooks:
            if hasattr(hook, "max_iter"):  # that saves the last checkpoint
                hook.max_iter = done
