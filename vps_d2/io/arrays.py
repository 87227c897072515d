"""Files of arrays, which appear whole or not at all."""

import io
from pathlib import Path

import numpy as np

from vps_d2.io.files import check_regular, write_whole


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file.

    Args:
        path: of the file; its folder exists.
        array: without objects in it.

    Raises:
        UserError: if the system refuses.
    """
    with write_whole(path) as file:
        np.save(file, array, allow_pickle=False)


def open_array(path: str | Path, mapped: bool = False) -> np.ndarray:
    """Read an ``.npy`` file, if it is a file: NumPy would wait for a pipe.

    Args:
        path: of the file.
        mapped: map it into memory, to read of it what is used; it is then read-only.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not such a file, or holds objects. Of an archive NumPy returns that.
    """
    check_regular(path)
    array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def array_bytes(array: np.ndarray) -> bytes:
    """Return what an ``.npy`` file of an array holds, for a file in a folder that is made whole.

    NumPy itself would report a full disk without the reason.
    """
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
