"""Files of pictures and films, which appear whole or not at all. Pictures are uint8 RGB."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from vps_d2.io.errors import UserError


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture as PNG; its folder is made, and the file appears whole or not at all.

    Raises:
        UserError: if the disk refuses.
    """
    _write(path, lambda to: iio.imwrite(to, picture, extension=".png"))


def write_gif(path: str | Path, frames: Sequence[np.ndarray], fps: float = 5) -> None:
    """Write pictures of one size as a GIF that repeats for ever.

    Args:
        path: of the file, whose folder is made.
        frames: uint8 ``(T, H, W, 3)``.
        fps: pictures per second.

    Raises:
        UserError: if the disk refuses.
    """
    pictures, duration = np.stack(list(frames)), 1000 / fps
    _write(path, lambda to: iio.imwrite(to, pictures, extension=".gif", duration=duration, loop=0))


def write_mp4(path: str | Path, frames: Sequence[np.ndarray], fps: float = 5) -> None:
    """Write pictures of one size as H.264 in yuv420p, which every player shows.

    Odd sizes are padded by a pixel, since the format wants even ones.

    Args:
        path: of the file, whose folder is made.
        frames: uint8 ``(T, H, W, 3)``.
        fps: pictures per second.

    Raises:
        UserError: if the disk refuses.
    """
    pictures = np.stack(list(frames))
    even = ((0, 0), (0, pictures.shape[1] % 2), (0, pictures.shape[2] % 2), (0, 0))
    pictures = np.pad(pictures, even, mode="edge")

    def write(to: Path) -> None:
        iio.imwrite(
            to,
            pictures,
            extension=".mp4",
            plugin="FFMPEG",
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,
        )

    _write(path, write)


def _write(path: str | Path, write: Callable[[Path], object]) -> None:
    path = Path(path)
    partial = path.with_name(f".partial_{os.getpid()}_{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}); make room or rights.") from error
