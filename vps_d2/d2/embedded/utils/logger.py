"""Logging to the terminal and to a file."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from termcolor import colored

from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = ["log_first_n", "setup_logger"]

_times_logged: Counter = Counter()


class _StdoutHandler(logging.StreamHandler):
    """Writes to whatever standard output is when the record comes, so redirection is honored."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


class _TerminalFormatter(logging.Formatter):
    """Green head, a red level name from WARNING on, and an abbreviated name of the logger."""

    def __init__(self, color: bool, name: str, abbrev_name: str):
        super().__init__("[%(asctime)s %(name)s]: ", datefmt="%m/%d %H:%M:%S")
        self._color = color
        self._name = name
        self._abbrev_name = abbrev_name

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        full_name, level = record.name, ""
        if full_name == self._name or full_name.startswith(self._name + "."):
            record.name = (self._abbrev_name + full_name[len(self._name) :]).lstrip(".")
        head = super().formatMessage(record)
        record.name = full_name
        if record.levelno >= logging.WARNING:
            level = record.levelname + " "
        if self._color:
            head, level = colored(head, "green"), colored(level, "red") if level else ""
        return head + level + record.message


def setup_logger(
    output: str | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "vps_d2",
    abbrev_name: str | None = None,
    enable_propagation: bool = False,
    configure_stdout: bool = True,
) -> logging.Logger:
    """Make a logger write to standard output and to a file; asked twice, it does so once.

    Args:
        output: a file (``*.txt`` or ``*.log``), or a folder in which ``log.txt`` is written; None
            writes no file.
        distributed_rank: rank of this process: only 0 writes to the terminal, and the others add
            ``.rank<n>`` to the file's name.
        color: color the terminal's lines.
        name: name of the logger. The embedded engine and the project both log under the default.
        abbrev_name: what the terminal shows for ``name``.
        enable_propagation: hand the records on to the parent logger too.
        configure_stdout: write to the terminal at all.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation

    has_stdout = any(isinstance(handler, _StdoutHandler) for handler in logger.handlers)
    if configure_stdout and distributed_rank == 0 and not has_stdout:
        terminal = _StdoutHandler()
        shown = name if abbrev_name is None else abbrev_name
        terminal.setFormatter(_TerminalFormatter(color, name, shown))
        logger.addHandler(terminal)

    if output is not None:
        _add_file(logger, output, distributed_rank)
    return logger


def _add_file(logger: logging.Logger, output: str, rank: int) -> None:
    path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
    path = os.path.abspath(path if rank == 0 else f"{path}.rank{rank}")
    if any(getattr(handler, "baseFilename", None) == path for handler in logger.handlers):
        return
    PathManager.mkdirs(os.path.dirname(path))
    handler = logging.FileHandler(path)
    handler.setFormatter(
        logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")
    )
    logger.addHandler(handler)


def log_first_n(
    lvl: int,
    msg: str,
    n: int = 1,
    *,
    name: str | None = None,
    key: str | Sequence[str] = "caller",
) -> None:
    """Log only the first ``n`` times.

    Args:
        lvl: level of the record.
        msg: the message.
        n: how often it is logged.
        name: name of the logger; the calling module's by default.
        key: what counts as the same: "caller" (the line of the call), "message", or both.
    """
    keys = (key,) if isinstance(key, str) else tuple(key)
    caller = sys._getframe(1)
    identity: tuple = ()
    if "caller" in keys:
        identity += (caller.f_code.co_filename, caller.f_lineno)
    if "message" in keys:
        identity += (msg,)
    _times_logged[identity] += 1
    if _times_logged[identity] <= n:
        logging.getLogger(name or caller.f_globals["__name__"]).log(lvl, msg)
