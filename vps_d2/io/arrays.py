"""``.npy`` files, written whole or not at all, whose headers are checked when they are read."""

import io
import math
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from vps_d2.io.files import open_regular, write_whole

_MAX_HEADER = 10_000  # bytes; NumPy's own limit
_MAX_DIMENSIONS = 32
_MAX_SIDE = 2**40
_PARSING = threading.Lock()
"""Held while NumPy parses a header as Python, which fails now and then in several threads at once
(python/cpython issue 106905)."""


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file.

    Args:
        path: of the file; its folder exists.
        array: without Python objects in it.

    Raises:
        UserError: if the file cannot be written.
    """
    with write_whole(path) as file:
        np.save(file, array, allow_pickle=False)


def open_array(path: str | Path, mapped: bool = False) -> np.ndarray:
    """Read an ``.npy`` file, after checking its header.

    NumPy itself would wait for a pipe, read archives and pickles with this name, and allocate
    memory, or fail in many ways, according to a false header.

    Args:
        path: of the file.
        mapped: map it into memory, so that only the parts in use are read; it is then read-only.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not such a file, holds Python objects, or is shorter than its header
            says.
    """
    with open_regular(path) as file:
        shape, order, dtype = _read_header(file)
        start, count = file.tell(), math.prod(shape)
        there = os.fstat(file.fileno()).st_size - start
        if count * dtype.itemsize > there:
            raise ValueError(
                f"its header promises {count * dtype.itemsize:,} bytes, but it holds {there:,}"
            )
        if mapped and count:
            return np.memmap(file, dtype, "r", offset=start, shape=shape, order=order)
        array = np.fromfile(file, dtype, count).reshape(shape, order=order)
        array.flags.writeable = not mapped
        return array


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], Any, np.dtype]:
    """Return the shape, order ("C" or "F") and dtype of the values that follow.

    Raises:
        ValueError: if it is not a valid header of a possible array.
    """
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its version is {version}")
    try:
        with _PARSING:
            shape, is_fortran, dtype = readers[version](file, max_header_size=_MAX_HEADER)
    except ValueError:
        raise
    # The header is parsed as Python, which can raise any exception.
    except Exception as error:
        raise ValueError("its header cannot be read") from error
    if len(shape) > _MAX_DIMENSIONS or not all(
        type(side) is int and 0 <= side <= _MAX_SIDE for side in shape
    ):
        raise ValueError(f"its shape is {shape!s:.80}")
    if dtype.hasobject or not dtype.itemsize or dtype.subdtype is not None:
        raise ValueError(f"its values are of the type {dtype!s:.80}")
    return shape, "F" if is_fortran else "C", dtype


def array_bytes(array: np.ndarray) -> bytes:
    """Return the bytes of an ``.npy`` file, for a file in a folder that is written whole.

    NumPy itself would report a full disk without giving the reason.
    """
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def write_rows(path: str | Path, shape: tuple[int, ...], rows: Iterable[bytes]) -> None:
    """Write a uint8 array to an ``.npy`` file, whole or not at all, without holding it.

    Args:
        path: of the file.
        shape: of the array.
        rows: its bytes, in parts.

    Raises:
        UserError: if the file cannot be written.
    """
    with write_whole(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in rows:
            file.write(part)
