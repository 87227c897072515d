"""Picture and video files, written whole or not at all. Pictures are uint8 RGB."""

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from vps_d2.io.files import DISK_ERRORS, write_errors, write_whole


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


def write_mp4(path: str | Path, frames: Sequence[np.ndarray], fps: float = 5) -> None:
    """Write pictures of one size as H.264 in yuv420p, which every player supports.

    Odd sizes are padded by a pixel, since the format needs even ones.

    Args:
        path: of the file, whose folder is made.
        frames: uint8 ``(T, H, W, 3)``.
        fps: pictures per second.

    Raises:
        UserError: if the file cannot be written.
    """
    pictures = np.stack(list(frames))
    even = ((0, 0), (0, pictures.shape[1] % 2), (0, pictures.shape[2] % 2), (0, 0))
    pictures = np.pad(pictures, even, mode="edge")
    _make_folder(path)
    with write_whole(path) as file:
        _encode(pictures, fps, file.name)


def _encode(pictures: np.ndarray, fps: float, path: str) -> None:
    # imageio's own writer does not report a failure of FFmpeg, such as on a full disk.
    command = [get_ffmpeg_exe(), "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-r", f"{fps:g}"]
    command += ["-s", f"{pictures.shape[2]}x{pictures.shape[1]}", "-i", "-"]
    command += ["-c:v", "libx264", "-crf", "25", "-pix_fmt", "yuv420p", "-f", "mp4", path]
    done = subprocess.run(command, input=pictures.tobytes(), capture_output=True, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        codes = [code for code in DISK_ERRORS if os.strerror(code) in words]
        if done.returncode == -getattr(signal, "SIGXFSZ", 0):  # which Python ignores for itself
            codes = [errno.EFBIG]
        if codes:
            raise OSError(codes[0], os.strerror(codes[0]))
        raise OSError(errno.EIO, f"FFmpeg: {words.splitlines()[-1] if words else 'no reason'}")


def _write(path: str | Path, content: bytes) -> None:
    _make_folder(path)
    with write_whole(path) as file:
        file.write(content)


def _make_folder(path: str | Path) -> None:
    with write_errors(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
