"""Long work behind the page: one job at a time, in a thread, with progress and cancel."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vps_d2.io.errors import UserError

__all__ = ["BusyError", "CancelledError", "Gate", "Job", "Jobs"]

_logger = logging.getLogger(__name__)


class BusyError(UserError):
    """Something cannot be done now, but later."""


class CancelledError(Exception):
    """A job ends because the user wants it to, or because something else ended it.

    Args:
        message: one sentence for the user; "" if the user knows.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


@dataclass
class Job:
    """What is done, and how far it is.

    Attributes:
        id: counted from 1.
        kind: "propagate", "export" or "import".
        done: frames so far.
        total: frames; None if that is not known.
        frame: index of the frame that was finished last.
        state: "running", "finished", "cancelled" or "failed".
        message: a sentence for the user; "" for none.
    """

    id: int
    kind: str
    done: int = 0
    total: int | None = None
    frame: int | None = None
    state: str = "running"
    message: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        """Return what the page is told."""
        keys = ("id", "kind", "done", "total", "frame", "state", "message")
        return {key: getattr(self, key) for key in keys}

    def check(self) -> None:
        """Go on, or not.

        Raises:
            CancelledError: if the job is to end.
        """
        if self.cancelled.is_set():
            raise CancelledError

    def step(self, frame: int) -> None:
        """Count a frame that was finished.

        Raises:
            CancelledError: if the job is to end.
        """
        if self.total is None or self.done < self.total:
            self.done += 1
        self.frame = frame
        self.check()


class Jobs:
    """Runs one job at a time.

    Args:
        changed: called when the state of a job changes.

    Attributes:
        last: the job that runs or ran last; None before the first one.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.last: Job | None = None
        self._changed, self._count = changed, 0
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()

    @property
    def running(self) -> Job | None:
        """The job that runs; None if none does."""
        job = self.last
        return job if job is not None and job.state == "running" else None

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Let nobody else start a job in this context.

        Raises:
            BusyError: if one runs.
        """
        with self._starting:
            if self.running is not None:
                raise BusyError(f"{_WORDS[self.running.kind]} is running; wait, or cancel it.")
            yield

    def start(self, kind: str, run: Callable[[Job], str], total: int | None = None) -> Job:
        """Run a function in a thread.

        Args:
            kind: of the job.
            run: takes the job, counts its frames, and returns a sentence for the user, or "".
            total: number of frames, if it is known.

        Raises:
            BusyError: if another job runs.
        """
        with self.starting():
            self._count += 1
            job = self.last = Job(self._count, kind, total=total)
            self._thread = threading.Thread(target=self._run, args=(job, run), name=kind)
            self._thread.start()
        self._changed()
        return job

    def cancel(self, wait: float | None = None) -> None:
        """End the job that runs.

        Args:
            wait: for so many seconds until it has ended; None not to wait.
        """
        job, thread = self.running, self._thread
        if job is not None:
            job.cancelled.set()
        if wait is not None and thread is not None:
            thread.join(wait)

    def _run(self, job: Job, run: Callable[[Job], str]) -> None:
        try:
            state, job.message = "finished", run(job)
        except CancelledError as error:
            state, job.message = "cancelled", error.message
        except UserError as error:
            state, job.message = "failed", str(error)
        except Exception as error:
            _logger.exception("the %s failed", job.kind)
            state = "failed"
            job.message = f"the {job.kind} failed ({type(error).__name__}); see the terminal."
        job.state = state
        self._changed()


class Gate:
    """A lock that a long job leaves to others between two of its steps.

    Args:
        lock: of what is worked with.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._waiting, self._free = 0, threading.Condition()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Take the lock before any job does."""
        with self._free:
            self._waiting += 1
        try:
            with self._lock:
                yield
        finally:
            with self._free:
                self._waiting -= 1
                self._free.notify_all()

    @contextmanager
    def last(self) -> Iterator[None]:
        """Take the lock when nobody else wants it."""
        with self._free:
            self._free.wait_for(lambda: not self._waiting)
        with self._lock:
            yield


_WORDS = {"propagate": "a propagation", "export": "an export", "import": "an import"}
