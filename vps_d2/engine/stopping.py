"""Stopping a training run at a signal, so that it goes on later with the same losses.

A cluster sends a signal before it takes a machine away. The iteration is finished first, in every
process of the run, a checkpoint is written, and :class:`Stopped` is raised. An evaluation, which
may take longer than the cluster waits, is stopped at once; the resumed run repeats it.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from vps_d2.d2.engine import HookBase
from vps_d2.d2.utils import comm

__all__ = ["StopHook", "Stopped", "may_stop", "stop_at", "stop_hooks"]


class Stopped(BaseException):
    """The run was asked to stop; like ``KeyboardInterrupt``, this is no error.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Request:
    """What is known of a signal in this process.

    Attributes:
        watched: whether signals stop a run.
        number: of the signal that has come, 0 for none.
        waits: whether a signal waits for the end of the iteration.
        evaluating: whether it came in an evaluation.
    """

    def __init__(self) -> None:
        self.watched, self.number, self.waits, self.evaluating = False, 0, False, False


_request = _Request()


@contextmanager
def stop_at(*numbers: int) -> Iterator[Callable[[], int]]:
    """Let signals stop the training run that is started in this context.

    Args:
        numbers: of the signals.

    Yields:
        a function that returns the number of the signal that has come, 0 for none.
    """

    def handle(number: int, _: FrameType | None) -> None:
        _request.number = _request.number or number
        if not _request.waits:
            raise Stopped(_request.number)

    before = {number: signal.signal(number, handle) for number in numbers}
    _request.__init__()  # type: ignore[misc]
    _request.watched = True
    try:
        yield lambda: _request.number
    finally:
        _request.watched = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def may_stop() -> Iterator[None]:
    """Let a signal end what is done in this context at once, even within a training run."""
    waited, _request.waits, _request.evaluating = _request.waits, False, True
    if _request.number:
        raise Stopped(_request.number)
    yield
    # After an error they stay as they are: the hook below writes a checkpoint.
    _request.waits, _request.evaluating = waited, False


class StopHook(HookBase):
    """Writes a checkpoint and raises :class:`Stopped` after a signal; register it last.

    Args:
        checkpointer: saves the run.
    """

    def __init__(self, checkpointer: Any) -> None:
        self.checkpointer = checkpointer

    def before_train(self) -> None:
        """Let signals wait from now on."""
        _request.waits = True

    def after_step(self) -> None:
        """Stop if any process was asked to."""
        number = max(comm.all_gather(_request.number))
        if number:
            self._save()
            raise Stopped(number)

    def after_train(self) -> None:
        """Write the checkpoint of a run that was stopped in an evaluation."""
        _request.waits = False
        if _request.number and _request.evaluating:
            self._save()

    def _save(self) -> None:
        done: int = self.trainer.iter
        self.checkpointer.save(f"model_{done:07d}", iteration=done)


def stop_hooks(checkpointer: Any) -> list[HookBase]:
    """Return the hook of a run that signals stop, none for other runs."""
    return [StopHook(checkpointer)] if _request.watched else []
