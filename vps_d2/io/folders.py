"""Folders of results, which one run at a time writes."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import portalocker

from vps_d2.io.errors import UserError
from vps_d2.io.files import remove_leftovers, write_errors

# A link or a pipe with the name of the lock is neither followed nor waited for.
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_EXCLUSIVE = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


@contextmanager
def claim_folder(folder: str | Path, name: str = "", parts: Iterable[str] = ()) -> Iterator[Path]:
    """Make a folder one's own while this runs, so that no other run writes into it.

    A lock of the system is held on a file in it, ``.vps_d2.lock``. It ends with the process,
    however that ends, and the file is removed with it. On a disk that has no locks there is none.

    Args:
        folder: it is made if it is not there.
        name: of the part of the work that is claimed, such as ``shard_0_of_4``; parts of other
            names can be claimed meanwhile. "" claims the folder as a whole, and removes the
            unfinished files that killed runs left in it.
        parts: folders in it that belong to the run, too.

    Yields:
        the folder.

    Raises:
        UserError: if another run has it, or it cannot be made or written to.
    """
    folder = Path(folder)
    path = folder / f".vps_d2{name and '-'}{name}.lock"
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(path)
    if descriptor is None:
        what = f"{folder} ({name.replace('_', ' ')})" if name else folder
        raise UserError(
            f"{what} is being written by another run; wait for its end, or choose another folder."
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
            with suppress(OSError):  # Windows keeps what is open
                path.unlink()
            os.close(descriptor)


def check_apart(output: str | Path, inputs: str | Path) -> None:
    """Check that results do not go into the folder that they are made from.

    Raises:
        UserError: if the one folder is the other, or lies in it.
    """
    folder = Path(inputs).resolve()
    if folder in (Path(output).resolve(), *Path(output).resolve().parents):
        raise UserError(f"{output} lies in the folder of the videos, {inputs}; give another.")


def _lock(path: Path) -> int | None:
    """Return an open and locked file, None if another process has locked it."""
    while True:
        descriptor = os.open(path, _OPEN, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path} is not a file; remove it, or choose another folder.")
            with open(descriptor, "r+b", buffering=0, closefd=False) as file:
                portalocker.lock(file, _EXCLUSIVE)
            # Its owner may have removed it after it was opened here.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except portalocker.AlreadyLocked:
            os.close(descriptor)
            return None
        except portalocker.LockException as error:
            logging.getLogger(__name__).warning(
                "%s cannot be locked (%s); see to it that no other run writes into its folder.",
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
