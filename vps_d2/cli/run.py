"""How a command ends: its exit status, and what it says of an error."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls


def run_tool(main: Callable[[], None]) -> int:
    """Run a tool's ``main`` and return its exit status.

    Returns:
        0 when it finished; 1 after a :class:`UserError`, an error of the system or too little
        memory, of which one sentence goes to standard error without a traceback; 130 after Ctrl-C;
        143 after a polite request to end (SIGTERM); and 1 if nobody reads the output any more.

    Raises:
        Exception: any other, which is a fault of the program.
    """
    _open_standard_files()
    # What a full disk refuses to a log, or to a thread, the main thread reports.
    logging.raiseExceptions = False
    threading.excepthook = _report_of_thread
    # What happens on the way goes to standard error, unless a command sets up a log of its own.
    logging.getLogger("vps_d2").setLevel(logging.INFO)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.INFO)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        os.getcwd()
    except OSError:  # of which some libraries die when they are imported
        return _fail("the working folder is gone; change to another one and start again.")
    try:
        try:
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
            "there is not enough memory; end other programs, or do less at a time (--batch-size, "
            "SOLVER.IMS_PER_BATCH, --workers)."
        )
    return 0


class _Terminated(BaseException):
    """Somebody asked this process to end; what it has begun is to be cleaned up."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _open_standard_files() -> None:
    """Open what the caller closed: files of the tool would get the numbers of the three."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _report_of_thread(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def _flush() -> None:
    """Write what was printed, so that an error comes now and not when Python ends."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        reason = error.strerror
        raise UserError(f"the output cannot be written ({reason}); send it elsewhere.") from error


def _drop_output() -> None:
    # Python would complain once more when it flushes at the end.
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
            f"{name} cannot be used ({error.strerror}); check this path and its permissions, or "
            "give another."
        )
    reason = error.strerror or str(error) or type(error).__name__
    return f"the system refuses ({reason}); check the room on the disk, and where the output goes."


def _is_lack_of_memory(error: Exception) -> bool:
    # PyTorch has a class of its own for GPUs, and none for CPUs; a thread needs room for its stack.
    named = any(each.__name__ == "OutOfMemoryError" for each in type(error).__mro__)
    words = ("DefaultCPUAllocator", "can't start new thread")
    return isinstance(error, MemoryError) or named or any(each in str(error) for each in words)
