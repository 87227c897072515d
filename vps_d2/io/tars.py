"""Folders in tar files: unpacked to read them, and packed to the same bytes every time."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vps_d2.io.errors import UserError
from vps_d2.io.files import cannot_write, write_whole

__all__ = ["TAR", "is_tar", "list_tars", "pack_folder", "repacked", "unpacked"]

TAR = ".tar"
"""How the name of a tar file ends; it is not compressed."""


def is_tar(path: str | Path) -> bool:
    """Return whether a path is that of a tar file, by its name."""
    return os.path.splitext(path)[1].lower() == TAR and os.path.isfile(path)


def list_tars(path: str | Path) -> list[Path]:
    """Return a tar file, or those in a folder in order of their names; none if there are none."""
    if os.path.isdir(path):
        return [Path(path, name) for name in sorted(os.listdir(path)) if is_tar(Path(path, name))]
    return [Path(path)] if is_tar(path) else []


@contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """Unpack a tar file into a folder of the temporary ones (``TMPDIR``), removed in the end.

    Args:
        path: of an uncompressed tar file.

    Yields:
        the folder, which has the name of the file without its ending.

    Raises:
        UserError: if the file is damaged or cut off, has members that lie outside of the folder or
            are neither files nor folders, or there is no room. Errors of the user's part that name
            the folder name the file instead.
    """
    path = Path(path)
    with TemporaryDirectory(prefix="vps_d2-") as scratch:
        folder = Path(scratch, path.stem)
        folder.mkdir()
        _unpack(path, folder)
        try:
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(str(folder), str(path))) from error


def _unpack(path: Path, folder: Path) -> None:
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                tar.extract(member, folder, set_attrs=False, filter="data")
            # tarfile takes anything that is no header for the end.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("unexpected end of data")
    except tarfile.FilterError as error:
        raise UserError(
            f"{path} has a member that is not unpacked ({error}); pack folders and files alone, "
            "with paths inside of the archive."
        ) from error
    except tarfile.TarError as error:
        raise UserError(
            f"{path} is damaged or cut off ({error}); fetch or pack it again."
        ) from error
    except OSError as error:
        if error.filename == str(path):
            raise UserError(
                f"{path} cannot be read ({error.strerror}); change its permissions."
            ) from error
        raise cannot_write(folder, error) from error


@contextmanager
def repacked(path: str | Path, target: str | Path) -> Iterator[tuple[Path, Path]]:
    """Unpack a tar file, and pack what is made of it as another, whole or not at all.

    Args:
        path: of a tar file; see :func:`unpacked`.
        target: of the other.

    Yields:
        the unpacked folder, and an empty one for the content of the target.
    """
    with unpacked(path) as folder, TemporaryDirectory(prefix="vps_d2-") as results:
        yield folder, Path(results)
        pack_folder(results, target)


def pack_folder(folder: str | Path, path: str | Path) -> None:
    """Write the content of a folder as a tar file, whole or not at all.

    Links are followed. The bytes depend on names and contents alone.

    Raises:
        UserError: if the file cannot be written.
    """
    with (
        write_whole(path) as file,
        tarfile.open(fileobj=file, mode="w|", dereference=True) as tar,
    ):
        for name in sorted(os.listdir(folder)):
            tar.add(Path(folder, name), name, filter=_without_owner)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
