"""Output folders, which only one run at a time may write."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import portalocker

from vps_d2.io.errors import UserError
from vps_d2.io.files import remove_leftovers, write_errors

# Neither follow a link nor wait for a pipe that has the name of the lock.
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_EXCLUSIVE = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


@contextmanager
def claim_folder(folder: str | Path, name: str = "", parts: Iterable[str] = ()) -> Iterator[Path]:
    """Claim a folder while this context is open, so that no other run writes into it.

    A system lock is held on a file in it, ``.vps_d2.lock``. The lock ends with the process, in
    whatever way that ends. On a disk without locks, nothing is locked.

    Args:
        folder: made if it does not exist.
        name: of the part of the work to claim, such as ``shard_0_of_4``; other parts can be claimed
            at the same time. "" claims the whole folder, and removes the unfinished files that
            killed runs left in it.
        parts: folders in it that belong to the run as well.

    Yields:
        the folder.

    Raises:
        UserError: if another run has claimed it, or it cannot be made or written to.
    """
    folder = Path(folder)
    path = folder / f".vps_d2{name and '-'}{name}.lock"
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(path)
    if descriptor is None:
        what = f"{folder} ({name.replace('_', ' ')})" if name else folder
        raise UserError(
            f"{what} is being written by another run; wait until it ends, or choose another folder."
        )
    _unshared.add(descriptor)
    try:
        if not name:
            for each in ("", *parts):
                remove_leftovers(folder / each)
        yield folder
    finally:
        if descriptor in _unshared:
            _unshared.remove(descriptor)
            with suppress(OSError):  # Windows does not remove an open file
                path.unlink()
            os.close(descriptor)


def check_apart(output: str | Path, inputs: str | Path) -> None:
    """Check that results are not written into their input folder.

    Raises:
        UserError: if the one folder is the other, or lies in it.
    """
    folder = Path(inputs).resolve()
    if folder in (Path(output).resolve(), *Path(output).resolve().parents):
        raise UserError(
            f"{output} is inside the folder of the input videos, {inputs}; choose another output "
            "folder."
        )


def _lock(path: Path) -> int | None:
    """Return an open and locked file, None if another process has locked it."""
    while True:
        descriptor = os.open(path, _OPEN, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path} is not a file; remove it, or choose another folder.")
            with open(descriptor, "r+b", buffering=0, closefd=False) as file:
                portalocker.lock(file, _EXCLUSIVE)
            # The owner of the lock may have removed the file after it was opened here.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except portalocker.AlreadyLocked:
            os.close(descriptor)
            return None
        except portalocker.LockException as error:
            logging.getLogger(__name__).warning(
                "%s cannot be locked (%s); make sure that no other run writes into its folder.",
                *(path, error.strerror),
            )
            return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


_unshared: set[int] = set()


def _close_in_child() -> None:
    """Keep a forked child from holding the locks of a parent that is killed."""
    for descriptor in _unshared:
        os.close(descriptor)
    _unshared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
