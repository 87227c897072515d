"""Object maps of data sets: palette pictures as those of DAVIS, and those in black and white."""

from pathlib import Path

import numpy as np

from vps_d2.data.object_maps import OBJECT_PALETTE, read_mask_pixels
from vps_d2.data.video import FaultError
from vps_d2.io.pictures import write_palette_png

_WHITE = 255
_IGNORED = 255


def read_dataset_map(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an object map of a data set, in which what belongs to no object may be marked by 255.

    In a palette picture, the indices are the object numbers, and 255 is read as 0. A gray picture
    with nothing between black and white is the mask of a single object; in any other, the gray
    values are the object numbers.

    Args:
        path: of the file.
        size: height and width in pixels that it must have; None for any.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        FaultError: if it is missing, unreadable, of another size, or not a map.
    """
    values, mode = _read(path, size)
    if mode != "P" and not np.any((values > 0) & (values < _WHITE)):
        return (values > 0).astype(np.uint8)
    return np.where(values == _IGNORED, 0, values).astype(np.uint8)


def read_saliency(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read the mask of a picture: a palette picture as an object map, else what is rather white.

    Args:
        path: of the file.
        size: see :func:`read_dataset_map`.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        FaultError: see :func:`read_dataset_map`.
    """
    values, mode = _read(path, size)
    if mode == "P":
        return np.where(values == _IGNORED, 0, values).astype(np.uint8)
    return (values > _WHITE // 2).astype(np.uint8)


def read_gray(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read the values of a PNG in gray or with a palette as they are, uint8 ``(H, W)``.

    Args:
        path: of the file.
        size: see :func:`read_object_map`.

    Raises:
        FaultError: see :func:`read_object_map`.
    """
    return _read(path, size)[0]


def write_object_map(path: str | Path, object_map: np.ndarray) -> None:
    """Write an object map, uint8 ``(H, W)``, as a palette PNG with the colors of DAVIS.

    Raises:
        UserError: if it cannot be written.
    """
    write_palette_png(path, object_map, OBJECT_PALETTE)


def _read(path: str | Path, size: tuple[int, int] | None) -> tuple[np.ndarray, str]:
    values, mode = read_mask_pixels(path)
    rows, columns = values.shape[:2]
    if mode not in ("P", "L", "1"):
        reason = f"mask of the kind {mode}, in which pixels have no object numbers"
        raise FaultError(path, reason, "save it as a palette PNG or a gray one")
    if size is not None and (rows, columns) != tuple(size):
        reason = f"mask of {columns}x{rows} pixels, frame {size[1]}x{size[0]}"
        raise FaultError(path, reason, "make them of one size")
    return values, mode
