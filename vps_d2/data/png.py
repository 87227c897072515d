"""Checks of PNG files before anything in them is decoded.

A file of a megabyte can hold a picture of gigabytes, and a file named .png can be anything.
"""

import struct

import numpy as np

try:
    from isal import isal_zlib as zlib  # the same functions, in half the time
except ImportError:  # where there is no wheel of it
    import zlib  # type: ignore[no-redef]

MAX_PIXELS = 1 << 26
"""Pixels of the largest picture that is decoded, about twice those of an 8K video."""
HEAD_BYTES = 4096
"""Bytes at the beginning of a file in which its orientation is searched for."""

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_SIGNATURE_BYTES = 8
_END = b"\0\0\0\0IEND\xaeB`\x82"
END_BYTES = len(_END)
"""Bytes at the end of a file that show that it is complete."""
# Everything in a file besides pixels: names, times, color profiles.
_MAX_OTHER_BYTES = 1 << 24
_BYTES_PER_PIXEL = 8  # four channels of 16 bits, should nothing compress
_ORIENTATION, _UPRIGHT = 0x0112, 1
_PLAIN = bytes([8, 2, 0, 0, 0])
"""End of the header of 8-bit RGB that is not interlaced."""
_CHANNELS = 3
_HIGHEST_FILTER = 4

# The first bytes of other kinds of files, and what these are.
_KINDS = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
)


class PictureError(ValueError):
    """A fault of a picture.

    Args:
        reason: what is wrong with it.
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
        PictureError: if it is not a PNG, or its picture is too large to be decoded.
    """
    if not head.startswith(_START) or len(head) < 24:
        kind = _find_kind(head)
        if kind:
            raise PictureError(f"{kind} with a name that ends with .png", "convert it to a PNG")
        raise PictureError("unreadable PNG")
    width, height = struct.unpack(">II", head[16:24])
    if not width or not height:
        raise PictureError("unreadable PNG")
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"picture of {width}x{height} pixels, which is too large", "make it smaller"
        )
    return height, width


def _find_kind(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP"
    if head[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        return "an AVIF or HEIC picture"
    return next((kind for start, kind in _KINDS if head.startswith(start)), "")


def max_bytes(size: tuple[int, int]) -> int:
    """Return the most bytes that a file with a picture of this height and width can have."""
    return size[0] * size[1] * _BYTES_PER_PIXEL + _MAX_OTHER_BYTES


def check_end(tail: bytes) -> None:
    """Check by its last bytes that a PNG is complete.

    Raises:
        PictureError: if it is not.
    """
    if tail[-END_BYTES:] != _END:
        raise PictureError("unreadable PNG")


def check_upright(data: bytes) -> None:
    """Check that no EXIF tag rotates a PNG: masks belong to the pixels as they are stored.

    Args:
        data: the file, or its beginning.

    Raises:
        PictureError: if viewers show the picture rotated or mirrored.
    """
    place = _SIGNATURE_BYTES
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"eXIf":
            orientation = _parse_orientation(data[place + 8 : place + 8 + length])
            if orientation != _UPRIGHT:
                raise PictureError(
                    f"picture rotated by its EXIF tag (orientation {orientation})",
                    "save it upright, without the tag",
                )
        place += 12 + length


def _parse_orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF block; 1 if it has none or an invalid one."""
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


def is_sound_png(data: bytes) -> bool:
    """Return whether a PNG can certainly be read: 8-bit RGB, with nothing missing or damaged.

    Every checksum is compared and the pixels are decompressed but not reconstructed, which takes a
    third of the time of decoding.

    Args:
        data: content of a file.

    Returns:
        True if it is sound; False if it is not, or if it is of a kind that only a decoder can
        check.
    """
    if not data.startswith(_START[:_SIGNATURE_BYTES]):
        return False
    pixels: list[bytes] = []
    view, start = memoryview(data), _SIGNATURE_BYTES
    size = (0, 0)
    while start + 12 <= len(data):
        kind = data[start + 4 : start + 8]
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        checksum = int.from_bytes(data[end : end + 4], "big")
        if end + 4 > len(data) or zlib.crc32(view[start + 4 : end]) != checksum:
            return False
        content = view[start + 8 : end]
        if kind == b"IEND":
            return end + 4 == len(data) and _are_rows(b"".join(pixels), *size)
        if kind == b"IHDR" and not any(size) and content[8:] == _PLAIN:
            size = (int.from_bytes(content[4:8], "big"), int.from_bytes(content[:4], "big"))
        elif kind == b"IDAT":
            pixels.append(bytes(content))
        else:
            return False
        start = end + 4
    return False


def _are_rows(compressed: bytes, height: int, width: int) -> bool:
    """Return whether data decompress to this many rows, each starting with a filter number."""
    length = 1 + _CHANNELS * width
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(compressed, height * length + 1)
    except zlib.error:  # type: ignore[misc]
        return False
    if not height or not width or len(rows) != height * length or not stream.eof:
        return False
    return int(np.frombuffer(rows, np.uint8)[::length].max()) <= _HIGHEST_FILTER
