"""Logging to the terminal and to a file."""

import logging
import os
import sys
from typing import TextIO

from termcolor import colored

from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = ["setup_logger"]


class _StdoutHandler(logging.StreamHandler):
    """Writes to the current standard output, so that redirection works."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


class _TerminalFormatter(logging.Formatter):
    """Formatter with a green head, and a red level name from WARNING on."""

    def __init__(self) -> None:
        super().__init__("[%(asctime)s %(name)s]: ", datefmt="%m/%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        head = colored(super().formatMessage(record), "green")
        if record.levelno >= logging.WARNING:
            head += colored(f"{record.levelname} ", "red")
        return head + record.message


def setup_logger(
    output: str | None = None, distributed_rank: int = 0, *, name: str = "vps_d2"
) -> logging.Logger:
    """Make a logger write to standard output and to a file; repeated calls change nothing.

    Args:
        output: a file (``*.txt`` or ``*.log``), or a folder in which ``log.txt`` is written; None
            writes no file.
        distributed_rank: rank of this process: only 0 writes to the terminal, and the others add
            ``.rank<n>`` to the file's name.
        name: name of the logger. The embedded engine and the project both log under the default.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False

    has_stdout = any(isinstance(handler, _StdoutHandler) for handler in logger.handlers)
    if distributed_rank == 0 and not has_stdout:
        terminal = _StdoutHandler()
        terminal.setFormatter(_TerminalFormatter())
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
