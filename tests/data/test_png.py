import zlib

import cv2
import numpy as np
import pytest

from vps_d2.data.png import is_sound_png
from vps_d2.data.video import encode_frame

FRAME = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
WHOLE = encode_frame(FRAME).tobytes()
HEADER = (31).to_bytes(4, "big") + (20).to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
ROWS = bytes(20 * (1 + 3 * 31))


def chunk(kind: bytes, content: bytes) -> bytes:
    length, checksum = len(content), zlib.crc32(kind + content)
    return length.to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")


def png(*contents: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*content) for content in contents)


def made_of(rows: bytes, header: bytes = HEADER) -> bytes:
    return png((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def decodes(data: bytes) -> bool:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_what_encoders_write_is_sound() -> None:
    assert is_sound_png(WHOLE)
    assert is_sound_png(made_of(ROWS)) and decodes(made_of(ROWS))
    halves = zlib.compress(ROWS)
    parts = [(b"IDAT", halves[:9]), (b"IDAT", b""), (b"IDAT", halves[9:])]
    assert is_sound_png(png((b"IHDR", HEADER), *parts, (b"IEND", b"")))


@pytest.mark.parametrize("place", range(0, len(WHOLE), 97))
def test_a_changed_byte_is_found(place: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= 0x10
    assert not is_sound_png(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 20, 40, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_cut_off_file_is_found(length: int) -> None:
    assert not is_sound_png(WHOLE[:length])


@pytest.mark.parametrize(
    "data",
    [
        made_of(ROWS[: 94 * 10]),
        made_of(bytes([9]) + ROWS[1:]),
        png((b"IHDR", HEADER), (b"IDAT", zlib.compress(ROWS)[:-5]), (b"IEND", b"")),
        png((b"IHDR", HEADER), (b"IDAT", b"no zlib stream"), (b"IEND", b"")),
        png((b"IDAT", zlib.compress(ROWS)), (b"IEND", b"")),
        png((b"IHDR", HEADER), (b"IEND", b"")),
    ],
    ids=["too few rows", "unknown filter", "cut off", "not compressed", "no header", "no pixels"],
)
def test_wrong_contents_with_right_checksums_are_found(data: bytes) -> None:
    assert not is_sound_png(data) and not decodes(data)


def test_other_kinds_are_left_to_a_decoder() -> None:
    _, gray = cv2.imencode(".png", FRAME[..., 0])
    exif = (b"eXIf", b"MM\0*\0\0\0\x08\0\0")
    rotated = png((b"IHDR", HEADER), exif, (b"IDAT", zlib.compress(ROWS)), (b"IEND", b""))
    _, photo = cv2.imencode(".jpg", FRAME)
    for data in (gray.tobytes(), rotated, photo.tobytes()):
        assert not is_sound_png(data) and decodes(data)


def test_a_stream_that_never_ends_is_not_followed() -> None:
    assert not is_sound_png(made_of(bytes(10_000_000)))
