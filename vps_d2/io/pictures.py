"""Picture and video files, written whole or not at all. Pictures are uint8 RGB."""

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vps_d2.io.files import write_errors, write_whole

_COMPRESSION = 3  # of maps, whose large areas need no long search


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture as PNG, whole or not at all; its folder is made.

    Raises:
        UserError: if the file cannot be written.
    """
    _write(path, iio.imwrite("<bytes>", picture, extension=".png"))


def write_gif(path: str | Path, frames: Sequence[np.ndarray], fps: float = 5) -> None:
    """Write pictures of one size as a GIF that repeats forever.

    Args:
        path: of the file, whose folder is made.
        frames: uint8 ``(T, H, W, 3)``.
        fps: pictures per second.

    Raises:
        UserError: if the file cannot be written.
    """
    pictures, duration = np.stack(list(frames)), 1000 / fps
    _write(path, iio.imwrite("<bytes>", pictures, extension=".gif", duration=duration, loop=0))


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float = 5) -> None:
    """Write pictures of one size as H.264; see :class:`vps_d2.io.video_writing.VideoWriter`.

    Args:
        path: of the file, whose folder is made.
        frames: uint8 ``(H, W, 3)`` each; at least one.
        fps: pictures per second.

    Raises:
        UserError: if the file cannot be written.
    """
    from vps_d2.io.video_writing import VideoWriter

    rate, remaining = Fraction(fps).limit_denominator(1001), iter(frames)
    first = next(remaining)
    with VideoWriter(path, first.shape[0], first.shape[1], rate) as writer:
        for index, picture in enumerate(chain([first], remaining)):
            writer.write(picture, index / rate)


def write_palette_png(path: str | Path, indices: np.ndarray, palette: np.ndarray) -> None:
    """Write a map of classes or objects as a PNG of indices into a palette; its folder is made.

    Args:
        path: of the file.
        indices: uint8 ``(H, W)``, each less than K.
        palette: colors, uint8 ``(K, 3)`` RGB, K <= 256.

    Raises:
        UserError: if the file cannot be written.
    """
    _write(path, encode_palette_png(indices, palette))


def encode_palette_png(
    indices: np.ndarray,
    palette: np.ndarray,
    texts: Mapping[str, str] | None = None,
    transparent: int | None = None,
) -> bytes:
    """Return the PNG of :func:`write_palette_png`; the same map always gives the same bytes.

    Args:
        indices: uint8 ``(H, W)``, each less than K.
        palette: colors, uint8 ``(K, 3)`` RGB, K <= 256.
        texts: to store in the file, by their keywords.
        transparent: index of which the pixels are transparent; None for none.
    """
    if indices.dtype != np.uint8 or indices.ndim != 2 or indices.max(initial=0) >= len(palette):
        raise ValueError(f"indices are {indices.dtype} {indices.shape}, or not in the palette")
    image = Image.fromarray(indices)
    image.putpalette(np.ascontiguousarray(palette, dtype=np.uint8).tobytes())
    file, info = io.BytesIO(), PngInfo()
    for key, text in (texts or {}).items():
        info.add_text(key, text)
    clear = {} if transparent is None else {"transparency": transparent}
    image.save(file, "PNG", compress_level=_COMPRESSION, pnginfo=info, **clear)
    return file.getvalue()


def _write(path: str | Path, content: bytes) -> None:
    _make_folder(path)
    with write_whole(path) as file:
        file.write(content)


def _make_folder(path: str | Path) -> None:
    with write_errors(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
