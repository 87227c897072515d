"""A folder of pictures, read as a video."""

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular
from vps_d2.io.video import (
    MAX_PIXELS,
    PICTURES,
    VideoFrame,
    VideoSource,
    check_size,
    is_picture,
)

# What Pillow raises for damaged pictures of one format or another.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError)
_ORIENTATION = 0x0112  # the EXIF tag
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")


class PictureSource(VideoSource):
    """The pictures of a folder, sorted by name, with numbers in the names sorted by value.

    Args:
        path: of the folder.
        rate: frames per second.

    Raises:
        UserError: if there is no picture that can be read, or they differ in size.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._files = _list_pictures(path)
        first, size = self._files[0], None
        for file in self._files:
            own = _read_size(file)
            if own is not None and size is not None and own != size:
                raise UserError(
                    f"{file} has {own[1]} x {own[0]} pixels, but {first.name} beside it has "
                    f"{size[1]} x {size[0]}; the pictures of a video need one size."
                )
            if size is None:
                first, size = file, own
        if size is None:
            raise UserError(f"no picture in {path} can be read; give a folder of whole pictures.")
        super().__init__(path, *size, rate, 1 / rate)

    @property
    def num_frames(self) -> int:
        """Number of pictures."""
        return len(self._files)

    def read(self, index: int) -> VideoFrame:
        """Read one picture; see the base class."""
        if not 0 <= index < len(self._files):
            raise self._no_frame(index)
        picture = _read_picture(self._files[index], self.height, self.width)
        if picture is None:
            self._lost.add(index)
            raise self._no_frame(index)
        return VideoFrame(index, index / self.rate, picture)

    def picture_name(self, index: int) -> str:
        """Return the name of a picture; see the base class."""
        return self._files[index].name

    def _frames(self, start: int, end: int | None, stride: int) -> Iterator[VideoFrame]:
        count = len(self._files)
        for index in range(start, count if end is None else min(end, count), stride):
            picture = _read_picture(self._files[index], self.height, self.width)
            if picture is None:
                self._lost.add(index)
            else:
                yield VideoFrame(index, index / self.rate, picture)


def _list_pictures(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if is_picture(name)]
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be read ({error.strerror}); change its permissions."
        ) from error
    if not names:
        raise UserError(f"{folder} has no pictures ({', '.join(PICTURES)}); give another folder.")
    return [folder / name for name in sorted(names, key=_natural_key)]


def _natural_key(name: str) -> tuple[list[tuple[str, int]], str]:
    parts = re.findall(r"(\D*)(\d*)", name.lower())
    return [(text, int(digits or -1)) for text, digits in parts], name


def _read_size(path: Path) -> tuple[int, int] | None:
    """Return the upright height and width that a picture's header tells, or None if it is damaged.

    Raises:
        UserError: if the picture is too large.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
    except _UNREADABLE:
        return None
    except Image.DecompressionBombError as error:  # its own limit is above ours
        raise UserError(
            f"{path} has more than the {MAX_PIXELS:,} pixels that are read; make it smaller."
        ) from error
    check_size(path, height, width)
    return (width, height) if turned else (height, width)


def _read_picture(path: Path, height: int, width: int) -> np.ndarray | None:
    try:
        with open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
            if image.size not in ((width, height), (height, width)):
                return None
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
                deep = np.asarray(upright, dtype=np.int64) // 256
                upright = Image.fromarray(deep.clip(0, 255).astype(np.uint8))
            picture = np.array(upright.convert("RGB"))
    except _UNREADABLE:
        return None
    return picture if picture.shape[:2] == (height, width) else None
