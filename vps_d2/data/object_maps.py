"""Object maps on disk: PNGs with a palette, as DAVIS and YouTube-VOS have them.

An object map is uint8 ``(H, W)``: 0 for none, otherwise the number of the object, 1-255.
"""

import re
from pathlib import Path

import numpy as np

from vps_d2.data.pictures import open_picture
from vps_d2.data.video import FaultError
from vps_d2.io.errors import UserError

__all__ = [
    "MAX_OBJECTS",
    "OBJECT_PALETTE",
    "find_sequences",
    "numbered_pngs",
    "object_numbers",
    "read_mask_pixels",
    "read_object_map",
]

MAX_OBJECTS = 100
"""Objects in one map beyond which it is taken for a photograph."""

_NUMBER = re.compile(r"(\d+)$")
# Where DAVIS and YouTube-VOS keep the folders of their sequences, and where the masks of one are.
_ROOTS = ("Annotations/480p", "Annotations/Full-Resolution", "Annotations", "")
_INSIDE = ("masks", "")


def _make_palette() -> np.ndarray:
    """Return the colors of PASCAL VOC, which DAVIS uses: the bits of a number, spread out."""
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return palette


OBJECT_PALETTE = _make_palette()
"""RGB of each object number, uint8 ``(256, 3)``: black for none, then the colors of DAVIS."""


def object_numbers(object_map: np.ndarray) -> list[int]:
    """Return the numbers of the objects in a map, in ascending order."""
    return [int(number) for number in np.flatnonzero(np.bincount(object_map.ravel())) if number]


def read_mask_pixels(path: str | Path) -> tuple[np.ndarray, str]:
    """Read a picture of masks as it is.

    Returns:
        the indices of a palette or gray values ``(H, W)``, with 255 for what is white in a picture
        of 1 bit, or colors uint8 ``(H, W, 3)``; and the mode of the file, as Pillow calls it.

    Raises:
        FaultError: if it is missing, too large, not a readable picture, or a JPEG.
    """
    with open_picture(path, "mask") as picture:
        if picture.format == "JPEG":
            reason = "mask in a JPEG, which changes the numbers of the objects"
            raise FaultError(path, reason, "save it as a PNG")
        mode = picture.mode
        if mode == "P" or mode.startswith("I"):
            return np.array(picture), mode
        return np.array(picture.convert("RGB" if len(picture.getbands()) > 2 else "L")), mode


def read_object_map(path: str | Path) -> np.ndarray:
    """Read an object map that a user gives, whatever kind of picture it was saved as.

    Those of data sets are read by :func:`vps_d2.data.vos.maps.read_dataset_map`.

    A picture with a palette, or of gray values, holds the numbers themselves; what is white in a
    picture of nothing but black and white is object 1.
    A picture in color is read if all its colors are those of DAVIS's palette.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        UserError: if it cannot be read, or its values are no numbers of objects.
    """
    values, mode = read_mask_pixels(path)
    values = values.astype(np.int64)
    if values.ndim == 3:
        values = _decode_colors(values, path)
    return _to_numbers(values, path, mode == "P")


def _to_numbers(values: np.ndarray, path: str | Path, has_palette: bool) -> np.ndarray:
    top = int(values.max(initial=0))
    if not has_palette and top in (255, 65535) and set(np.unique(values)) <= {0, top}:
        return (values > 0).astype(np.uint8)
    if top > 255 or values.min(initial=0) < 0:
        raise UserError(
            f"mask {path} has values up to {top}, but the numbers of objects end at 255; save it "
            "with 8 bits."
        )
    object_map = values.astype(np.uint8)
    count = len(object_numbers(object_map))
    if count > MAX_OBJECTS:
        raise UserError(
            f"mask {path} has {count} values, as a photograph has; give a mask of at most "
            f"{MAX_OBJECTS} objects."
        )
    return object_map


def _decode_colors(values: np.ndarray, path: str | Path) -> np.ndarray:
    """Return the numbers of gray values, or of colors of the palette, int ``(H, W)``."""
    if (values == values[..., :1]).all():
        return values[..., 0]
    weights = np.array([1 << 16, 1 << 8, 1])
    codes = OBJECT_PALETTE @ weights
    order = np.argsort(codes)
    wanted = values @ weights
    places = np.searchsorted(codes[order], wanted).clip(max=255)
    numbers: np.ndarray = order[places]
    if (codes[numbers] != wanted).any():
        raise UserError(
            f"mask {path} is a picture in color, but not in those of DAVIS's palette; save it as a "
            "PNG of object numbers, with a palette or in gray."
        )
    return numbers


def numbered_pngs(folder: Path) -> dict[int, Path]:
    """Return the PNGs of a folder by the number at the end of their names, in its order."""
    found = {}
    for path in folder.glob("*.png"):
        number = _NUMBER.search(path.stem)
        if number and not path.name.startswith("."):
            found[int(number[1])] = path
    return dict(sorted(found.items()))


def find_sequences(root: str | Path) -> dict[str, Path]:
    """Find the folders of object maps of a data set or of results.

    Args:
        root: DAVIS's or YouTube-VOS's folder; or one with ``NAME/*.png`` or ``NAME/masks/*.png``,
            as ``vps-d2 propagate`` writes it, for each sequence.

    Returns:
        the folder with the maps of each sequence, by its name.

    Raises:
        UserError: if there is none.
    """
    root = Path(root)
    for place in _ROOTS:
        found = {}
        for folder in sorted((root / place).glob("*/")):
            inside = next(
                (folder / each for each in _INSIDE if any((folder / each).glob("*.png"))), None
            )
            if inside is not None:
                found[folder.name] = inside
        if found:
            return found
    raise UserError(
        f"{root} holds no masks; give a folder with NAME/*.png or NAME/masks/*.png for each "
        "sequence, or that of DAVIS."
    )
