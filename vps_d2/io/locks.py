"""Locks on files, by which processes agree on who goes first, on every platform."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import portalocker

_PERIOD = 0.05  # seconds between two attempts


@contextmanager
def lock_file(path: str | Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a file for this process alone; the system releases it when the process ends.

    The file is made if it is missing, and is never removed: otherwise two processes could each lock
    a different file of that name.

    Args:
        path: of the file, whose folder exists.
        wait: wait until no other process holds the lock, however long that takes.

    Yields:
        whether the lock is held; always True with ``wait``.

    Raises:
        OSError: if the file cannot be opened, or the file system has no locks.
    """
    with open(path, "ab") as file:
        # Not a blocking lock: on Windows, that gives up after ten seconds.
        while not (held := _try_to_lock(file)) and wait:
            time.sleep(_PERIOD)
        try:
            yield held
        finally:
            if held:
                portalocker.unlock(file)


def _try_to_lock(file: IO[bytes]) -> bool:
    try:
        portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:
        raise OSError(f"{file.name} cannot be locked ({error})") from error
    return True
