"""Pictures and cut-outs in folders, kept in memory while clips are made of them.

A cut-out is a PNG with transparency: what is opaque is the object.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vps_d2.data.pictures import read_picture
from vps_d2.data.png import HEAD_BYTES, PictureError, max_bytes, parse_size
from vps_d2.data.video import FaultError
from vps_d2.io.files import open_regular

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_KEPT_BYTES = 200_000_000  # of one process
_MIN_SIDE = 16
_CHANNELS = 4


class _Store:
    """Keeps the arrays that were used last, up to a number of bytes.

    Args:
        most: bytes of all of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array of a key, loaded if it is not kept; it must not be written to."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        array = load()
        array.setflags(write=False)
        self._kept[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._most:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return array


_store = _Store(_KEPT_BYTES)


class Library(NamedTuple):
    """Paths of pictures, and of cut-outs; either can be empty."""

    pictures: tuple[str, ...] = ()
    cutouts: tuple[str, ...] = ()


@lru_cache(16)
def open_library(pictures: str | None, cutouts: str | None) -> Library:
    """List the files of a library.

    Args:
        pictures: folder of pictures, searched with those in it; None for none.
        cutouts: folder of cut-outs, likewise.

    Raises:
        FaultError: if one is not a folder, or holds no such file.
    """
    return Library(
        _list(pictures, PICTURE_SUFFIXES, "picture"), _list(cutouts, (".png",), "PNG cut-out")
    )


def _list(folder: str | None, suffixes: tuple[str, ...], what: str) -> tuple[str, ...]:
    if folder is None:
        return ()
    if not os.path.isdir(folder):
        raise FaultError(folder, "not a folder", f"give a folder of {what}s")
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    found = sorted(str(path) for path in paths if path.suffix.lower() in suffixes)
    if not found:
        raise FaultError(folder, f"no {what} in it", f"give a folder of {what}s")
    return tuple(found)


def load_picture(path: str, side: int) -> np.ndarray:
    """Return a picture, made smaller; it must not be written to.

    Args:
        path: of the file.
        side: of its shorter side in pixels, if it is larger than that.

    Returns:
        uint8 RGB ``(H, W, 3)``.

    Raises:
        FaultError: if it is not a readable picture.
    """
    return _store.get((path, side), lambda: _read_small(path, side))


def load_cutout(path: str, side: int) -> np.ndarray:
    """Return a cut-out, made smaller and without its empty margins; it must not be written to.

    Args:
        path: of the file.
        side: of its longer side in pixels, if it is larger than that.

    Returns:
        uint8 RGBA ``(H, W, 4)``.

    Raises:
        FaultError: if it is not a PNG with transparency, or too little of it is opaque.
    """
    return _store.get((path, side, "cut-out"), lambda: _read_cutout(path, side))


def _read_cutout(path: str, side: int) -> np.ndarray:
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
            data = head + file.read(max_bytes(parse_size(head)))
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except PictureError as error:
        raise FaultError(path, error.reason, error.advice) from error
    except (OSError, cv2.error) as error:
        raise FaultError(path, "unreadable PNG") from error
    if pixels is None or pixels.dtype != np.uint8:
        raise FaultError(path, "unreadable PNG", "save it with 8 bits for each channel")
    if pixels.ndim != 3 or pixels.shape[2] != _CHANNELS:
        raise FaultError(path, "cut-out without transparency", "save it as an RGBA PNG")
    left, top, width, height = cv2.boundingRect((pixels[..., 3] > 127).astype(np.uint8))
    if min(width, height) < _MIN_SIDE:
        raise FaultError(
            path, f"object of {width}x{height} pixels, which is too small", "remove it"
        )
    object_only = pixels[top : top + height, left : left + width]
    object_only = _shrink(object_only, side / max(width, height))
    return cv2.cvtColor(object_only, cv2.COLOR_BGRA2RGBA)


def _read_small(path: str, side: int) -> np.ndarray:
    picture = read_picture(path)
    return _shrink(picture, side / min(picture.shape[:2]))


def _shrink(picture: np.ndarray, factor: float) -> np.ndarray:
    if factor >= 1:
        return picture
    height, width = picture.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
