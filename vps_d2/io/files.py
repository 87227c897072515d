"""The one writer: files and folders that are written whole or not at all.

A file is first written under a new name that nobody can guess, ``.vps_d2-<name>-<token>.tmp``, in
the folder of its target, and replaces the target when it is complete. If anything goes wrong, the
new file is removed and the old one is kept. A killed process leaves its new file behind; the next
run that claims the folder (:func:`vps_d2.io.folders.claim_folder`) removes it.

System errors, such as a full disk, become one sentence that names the target.
"""

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

from vps_d2.io.errors import UserError

_PREFIX, _SUFFIX = ".vps_d2-", ".tmp"
_NAME_SHOWN = 40  # characters of the target's name that are kept; a file name may have 255 bytes

# The file must be new (no link is followed, no file overwritten), with the mode of the umask.
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# A precaution: opening a pipe for reading would wait for a writer.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)

_UPDATE = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

DISK_ERRORS = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Error numbers for a full disk, a quota or a file size limit."""
_ROOM = "free some disk space, or choose another folder"
_RIGHTS = "change its permissions, or choose another"
_ADVICE = {
    **dict.fromkeys(DISK_ERRORS, _ROOM),
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or choose another disk",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}


def cannot_write(path: str | Path, error: OSError) -> UserError:
    """Return the error for a file that cannot be written: which file, why, and what to do."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno and reason == os.strerror(error.errno):
        reason = reason[:1].lower() + reason[1:]
    advice = _ADVICE.get(error.errno or 0, "choose another")
    return UserError(f"{path} cannot be written ({reason}); {advice}.")


@contextmanager
def write_errors(path: str | Path, codes: Collection[int] | None = None) -> Iterator[None]:
    """Turn a system error about a file or folder that is being written into one sentence.

    Args:
        path: of the file or folder that is being written.
        codes: error numbers to turn, such as :data:`DISK_ERRORS`; None for all.

    Raises:
        UserError: instead of an ``OSError`` that names no file, or that names the path, something
            in it or a folder above it. An error that names another file is not changed.
    """
    try:
        yield
    except OSError as error:
        if _concerns(error, path) and (codes is None or error.errno in codes):
            raise cannot_write(path, error) from error
        raise


def _concerns(error: OSError, *paths: str | Path) -> bool:
    if not isinstance(error.filename, str | os.PathLike):
        return error.filename is None
    named = Path(error.filename)
    return any(
        named == path or named in path.parents or path in named.parents for path in map(Path, paths)
    )


class _Output:
    """A file that remembers why a write failed, in case the writer on top of it does not say.

    PyTorch's writer, for one, raises a ``RuntimeError`` about its own position. NumPy does not take
    this for a system file; for those, it reports short writes without giving the reason.
    """

    def __init__(self, file: IO[bytes], name: Path) -> None:
        self._file = file
        self.name = str(name)
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write bytes, or any object with the buffer interface."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def flush(self) -> None:
        """Flush all data to the operating system."""
        try:
            self._file.flush()
        except OSError as error:
            self.failure = self.failure or error
            raise


@contextmanager
def write_whole(path: str | Path, inputs: Iterable[str | Path] = ()) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when it is complete on the disk.

    If the path is a link, the link is kept and its target is replaced.

    Args:
        path: of the file; its folder exists.
        inputs: files and folders that were read, and must not be overwritten.

    Yields:
        the file, to be written in binary from beginning to end. Writers that need a path can use
        its ``name``.

    Raises:
        UserError: if the path is not that of a file or of none, it is one of the inputs, or the
            system refuses.
    """
    target = _find_target(path, inputs)
    fresh = _fresh_path(target)
    output: _Output | None = None
    try:
        with open(os.open(fresh, _NEW, 0o666), "wb") as file:
            _mark(file)
            output = _Output(file, fresh)
            yield cast(IO[bytes], output)
            output.flush()
            os.fsync(file.fileno())
        os.replace(fresh, target)
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink()
        failure = output.failure if output is not None else None
        if failure is None and isinstance(error, OSError) and _concerns(error, fresh):
            failure = error
        if failure is not None:
            raise cannot_write(path, failure) from error
        raise


@contextmanager
def write_folder(path: str | Path) -> Iterator[Path]:
    """Make a folder that appears under its name only when it is complete.

    An older folder of that name is replaced. Its files are not synced to the disk one by one, so
    some may be empty after a power failure.

    Args:
        path: of the folder; its parents are made, too.

    Yields:
        the folder under another name, to be filled.

    Raises:
        UserError: if a file or a link has the name, or the folder cannot be written.
    """
    path = Path(path)
    fresh = _fresh_path(path)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(
            f"{path} is a file or a link, not a folder; remove it, or choose another path."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        yield fresh
        _swap_in(fresh, path)
    except BaseException as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(error, OSError) and _concerns(error, fresh, path):
            raise cannot_write(path, error) from error
        raise


@contextmanager
def scratch_folder(parent: str | Path) -> Iterator[Path]:
    """Make a folder for intermediate files in another one, and remove it in the end.

    Of a killed process, :func:`remove_leftovers` removes it.
    """
    with TemporaryDirectory(prefix=_PREFIX, suffix=_SUFFIX, dir=parent) as folder:
        yield Path(folder)


def _swap_in(fresh: Path, path: Path) -> None:
    """Give a folder its final name, and remove the one that had it."""
    if not path.exists():
        fresh.rename(path)
        return
    old = _fresh_path(path)
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | Path, text: str, inputs: Iterable[str | Path] = ()) -> None:
    """Write a text file in UTF-8, whole or not at all; see :func:`write_whole`."""
    with write_whole(path, inputs) as file:
        file.write(text.encode())


def write_json(
    path: str | Path, content: Any, inputs: Iterable[str | Path] = (), indent: int | None = 2
) -> None:
    """Write a JSON file, whole or not at all; see :func:`write_whole`."""
    write_text(path, json.dumps(content, indent=indent) + "\n", inputs)


def remove_leftovers(folder: str | Path) -> None:
    """Remove the unfinished files and folders that killed processes left directly in a folder.

    Call it only if no other process makes whole folders there. Files that are being written are
    kept, and links are not followed.
    """
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif not entry.is_file(follow_symlinks=False) or not _is_marked(entry.path):
                with suppress(OSError):
                    os.unlink(entry.path)


def _mark(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open, to show that it is being written.

    Returns:
        whether that was possible. Windows needs no lock: it does not remove open files.
    """
    if os.name == "nt":
        return True
    import portalocker  # late: it takes a while, and most importers of this module write nothing

    try:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.LockException:  # another process holds it, or the disk has no locks
        return False
    return True


def _is_marked(path: str) -> bool:
    with suppress(OSError), open(os.open(path, _UPDATE), "rb") as file:
        return not _mark(file)
    return True


def check_output(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Check that a file can be written, before long work begins, and make its folder.

    Args:
        path: of the file to write or replace.
        inputs: files and folders that will be read, of which no file may be replaced.

    Raises:
        UserError: if the path is not that of a file or of none, it is one of the inputs, or its
            folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder {path.parent} cannot be made ({error.strerror}); choose another one."
        ) from error
    target = _find_target(path, inputs)
    if not os.access(target.parent, os.W_OK):
        raise UserError(f"the folder {target.parent} is not writable; choose another one.")


def _find_target(path: str | Path, inputs: Iterable[str | Path]) -> Path:
    """Return the path of the file to replace or make, following a link."""
    path = Path(path)
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UserError(
                f"{path} is a link to nothing; remove it, or choose another path."
            ) from error
        return path
    except OSError as error:
        raise cannot_write(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a folder; give the path of a file.")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is a device, a pipe or a socket; give the path of a file.")
    target = Path(os.path.realpath(path))
    for each in inputs:
        if Path(os.path.realpath(each)) in target.parents:
            raise UserError(
                f"{path} is inside {each}, which is an input; choose an output path elsewhere."
            )
        with suppress(OSError):
            if os.path.samestat(os.stat(each), status):
                raise UserError(
                    f"{path} is an input and would be overwritten; choose another output path."
                )
    return target if path.is_symlink() else path


def _fresh_path(target: Path) -> Path:
    name = f"{_PREFIX}{target.name[:_NAME_SHOWN]}-{secrets.token_hex(8)}{_SUFFIX}"
    return target.with_name(name)


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a regular file for reading; a pipe would block, and some devices never end.

    Raises:
        OSError: if it cannot be opened, or is not a regular file.
    """
    check_regular(path)
    descriptor = os.open(path, _READ)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    raise _not_regular(path)


def read_json(path: str | Path, max_bytes: int = 10_000_000) -> Any:
    """Read a JSON file; never wait for a pipe.

    Args:
        path: of the file.
        max_bytes: largest size of the file.

    Raises:
        OSError: if it cannot be opened, or is not a regular file.
        ValueError: if it is not JSON, nested too deeply, or larger than that.
    """
    with open_regular(path) as file:
        text = file.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise ValueError(f"it has more than {max_bytes:,} bytes")
    try:
        return json.loads(text.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_regular(path: str | Path) -> None:
    """Check that a path is a regular file, before code that takes a path opens it.

    Raises:
        OSError: if it is not a regular file or a link to one.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise _not_regular(path)


def _not_regular(path: str | Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))
