"""PNG files, looked at before anything in them is decoded.

A file of a megabyte can hold a picture of gigabytes, and one with the name of a PNG can be
anything.
"""

import struct

MAX_PIXELS = 1 << 26
"""Pixels of the largest picture that is decoded, about twice those of an 8K video."""
HEAD_BYTES = 4096
"""Bytes at the beginning of a file in which its orientation is looked for without the rest."""

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_SIGNATURE_BYTES = 8
_END = b"\0\0\0\0IEND\xaeB`\x82"
END_BYTES = len(_END)
"""Bytes at the end of a file that show that none are missing."""
# Whatever else is in a file besides pixels: names, times, profiles of colors.
_MAX_OTHER_BYTES = 1 << 24
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, should nothing compress
_ORIENTATION, _UPRIGHT = 0x0112, 1

# How files of other kinds begin, and what they are.
_KINDS = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
)


class PictureError(ValueError):
    """What is wrong with a picture.

    Args:
        reason: what it is.
        advice: what to do about it.
    """

    def __init__(self, reason: str, advice: str = "replace it") -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


def parse_size(head: bytes) -> tuple[int, int]:
    """Read the size of a PNG.

    Args:
        head: its first bytes, 24 or more.

    Returns:
        height and width in pixels.

    Raises:
        PictureError: if it is no PNG, or its picture is too large to be decoded.
    """
    if not head.startswith(_START) or len(head) < 24:
        kind = _find_kind(head)
        if kind:
            raise PictureError(f"{kind} named .png", "convert it to a PNG")
        raise PictureError("unreadable PNG")
    width, height = struct.unpack(">II", head[16:24])
    if not width or not height:
        raise PictureError("unreadable PNG")
    if width * height > MAX_PIXELS:
        raise PictureError(f"picture of {width}x{height} pixels, too many", "make it smaller")
    return height, width


def _find_kind(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP"
    if head[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        return "an AVIF or HEIC picture"
    return next((kind for start, kind in _KINDS if head.startswith(start)), "")


def max_bytes(size: tuple[int, int]) -> int:
    """Return the bytes that a file with a picture of this height and width can have at most."""
    return size[0] * size[1] * _BYTES_PER_PIXEL + _MAX_OTHER_BYTES


def check_end(tail: bytes) -> None:
    """Check by its last bytes that a PNG was not cut off.

    Raises:
        PictureError: if it was.
    """
    if tail[-END_BYTES:] != _END:
        raise PictureError("unreadable PNG")


def check_upright(data: bytes) -> None:
    """Check that no EXIF tag turns a PNG: masks belong to the pixels as they are stored.

    Args:
        data: the file, or its beginning, as far as it is to be looked at.

    Raises:
        PictureError: if viewers show the picture turned or mirrored.
    """
    place = _SIGNATURE_BYTES
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"eXIf":
            orientation = _parse_orientation(data[place + 8 : place + 8 + length])
            if orientation != _UPRIGHT:
                raise PictureError(
                    f"picture turned by its EXIF tag (orientation {orientation})",
                    "save it upright, without the tag",
                )
        place += 12 + length


def _parse_orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF block, 1 if it has none, or none that EXIF knows."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return _UPRIGHT
    try:
        (table,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, table)
        for index in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, table + 2 + 12 * index)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else _UPRIGHT
    except struct.error:  # cut off
        pass
    return _UPRIGHT
