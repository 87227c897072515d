"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


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
