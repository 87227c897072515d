"""How a command ends: its exit status, and how it reports an error."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls


def run_tool(main: Callable[[], None]) -> int:
    """Run a tool's ``main`` and return its exit status.

    Returns:
        0 if it finished; 1 after a :class:`UserError`, an operating system error or a lack of
        memory, each reported on standard error in one sentence, without a traceback; 130 after
        Ctrl-C; 143 after SIGTERM; and 1 if nobody reads the output any more.

    Raises:
        Exception: any other error, which is a bug.
    """
    _open_standard_files()
    # If the disk is full, the main thread reports it, and not every log and thread as well.
    logging.raiseExceptions = False
    threading.excepthook = _report_of_thread
    # Progress messages go to standard error, unless a command sets up its own log.
    logging.getLogger("vps_d2").setLevel(logging.INFO)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.INFO)
    try:
        os.getcwd()
    except OSError:  # some libraries cannot be imported without a working folder
        return _fail("the working folder no longer exists; change to another one and start again.")
    try:
        try:
            with _terminable():
                main()
        except SystemExit:
            _flush()
            raise
        _flush()
    except UserError as error:
        return _fail(str(error))
    except _Terminated:
        _say("terminated")
        return 143
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of the output, such as head, has gone
        _drop_output()
        return 1
    except OSError as error:
        return _fail(_describe(error))
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        return _fail(
            "there is not enough memory; close other programs, or lower --batch-size, "
            "SOLVER.IMS_PER_BATCH or --workers."
        )
    return 0


class _Terminated(BaseException):
    """This process was asked to end (SIGTERM), and first cleans up what it has begun."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM do what Ctrl-C does."""

    def terminate(*_: object) -> None:
        raise _Terminated

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # only the main thread can set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open_standard_files() -> None:
    """Open the standard files that the caller closed, so that no other file gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _report_of_thread(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def _flush() -> None:
    """Write what was printed, so that an error is raised now and not when Python exits."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        reason = error.strerror
        raise UserError(
            f"the output cannot be written ({reason}); redirect it elsewhere."
        ) from error


def _drop_output() -> None:
    # Python would report the error once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str) -> int:
    _say(f"error: {sentence}")
    return 1


def _say(text: str) -> None:
    with suppress(OSError):
        print(escape_controls(text), file=sys.stderr)


def _describe(error: OSError) -> str:
    path = error.filename2 or error.filename
    if path is not None:
        name = os.fsdecode(path) if isinstance(path, str | bytes) else path
        return (
            f"{name} cannot be used ({error.strerror}); check the path and its permissions, or "
            "give another one."
        )
    reason = error.strerror or str(error) or type(error).__name__
    return f"the operating system reports: {reason}; check the free disk space and the output path."


def _is_lack_of_memory(error: Exception) -> bool:
    # PyTorch has an exception class for a GPU, but none for a CPU; a thread needs memory, too.
    named = any(each.__name__ == "OutOfMemoryError" for each in type(error).__mro__)
    words = ("DefaultCPUAllocator", "can't start new thread")
    return isinstance(error, MemoryError) or named or any(each in str(error) for each in words)
