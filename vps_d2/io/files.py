"""Files that are written whole or not at all, and known to be writable before long work."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vps_d2.io.errors import UserError


@contextmanager
def write_whole(path: str) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when all of it is on the disk.

    A process that is killed leaves the old file as it was, and at most a ``.tmp`` beside it, which
    the next writer replaces.

    Args:
        path: of the file; its folder exists.

    Yields:
        the file, to be written in binary.
    """
    unfinished = f"{path}.tmp"
    with open(unfinished, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file, indented, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        with write_whole(str(path)) as file:
            file.write((json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another.") from error


def check_output(path: str | Path) -> None:
    """Make the folder of a file, so that long work does not end with one that cannot be written.

    Args:
        path: of the file that is to be written or replaced.

    Raises:
        UserError: if it is a folder, or its folder cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be made ({error.strerror}); choose another."
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path.parent} may not be written to; choose another folder.")
