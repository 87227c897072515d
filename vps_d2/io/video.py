"""Videos in: one way to read a file or a folder of pictures, whatever reads it below.

A video is a :class:`VideoSource`. Its frames come one at a time, upright, as uint8 RGB, with their
exact time stamps, and memory does not grow with its length::

    source = open_video("clip.mp4")
    for frame in source.frames():
        print(frame.index, float(frame.time), frame.picture.shape)

PyAV (FFmpeg) decodes files. OpenCV takes its place where PyAV cannot be imported; it then gives
less exact times and cannot count the frames. ``import vps_d2.io.video`` imports neither.
"""

import hashlib
import importlib.util
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vps_d2.io.errors import UserError
from vps_d2.io.prefetch import iterate_ahead
from vps_d2.io.tars import TAR

MAX_PIXELS = 2**26
"""Pixels of the largest frame that is read: twice an 8K film, 200 MB as RGB."""

FOLDER_RATE = Fraction(25)
"""Frames per second of a folder of pictures, which has no rate of its own."""

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
"""How the names of the pictures in a folder end."""

VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
"""How the names of the video files end that are found in a folder; others are read if named."""

_HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video.

    Attributes:
        index: its place in the video, from 0.
        time: in seconds, as the file says; the first frame may come later than 0.
        picture: uint8 ``(H, W, 3)`` RGB, upright.
    """

    index: int
    time: Fraction
    picture: np.ndarray


class VideoSource(ABC):
    """A video that can be read from its start, or one frame at a time.

    An index is a place in the video: a frame that cannot be read leaves a gap, and the others keep
    theirs.

    Attributes:
        path: of the file or folder.
        name: the file's name without its ending, or the folder's.
        height: of each frame in pixels, upright.
        width: of each frame in pixels, upright.
        rate: mean frames per second.
        time_base: unit of the time stamps in seconds; each is a multiple of it.
    """

    def __init__(
        self, path: Path, height: int, width: int, rate: Fraction, time_base: Fraction
    ) -> None:
        self.path = path
        self.name = video_name(path)
        self.height, self.width = height, width
        self.rate, self.time_base = rate, time_base
        self._lost: set[int] = set()
        self._damaged: set[int] = set()
        self._cut = 0  # frames that the file promises behind its end

    @property
    @abstractmethod
    def num_frames(self) -> int | None:
        """Number of frames, the unreadable ones included; None if only decoding would tell."""

    @abstractmethod
    def read(self, index: int) -> VideoFrame:
        """Read one frame, the same as :meth:`frames` gives for this index.

        Raises:
            UserError: if the video has no such frame, or it cannot be read.
        """

    def picture_name(self, index: int) -> str:
        """Return the name of the picture of a frame: that of the file in a folder of pictures."""
        return numbered_png(index)

    @abstractmethod
    def _frames(self, start: int, end: int | None, stride: int) -> Iterator[VideoFrame]:
        """Yield the frames of a range that can be read; arguments as in :meth:`frames`."""

    def frames(
        self, start: int = 0, end: int | None = None, stride: int = 1
    ) -> Iterator[VideoFrame]:
        """Iterate over frames, which a thread reads ahead.

        Args:
            start: index of the first frame.
            end: index after the last frame; None for the end of the video.
            stride: step from one index to the next.

        Raises:
            UserError: if the range is not one.
        """
        if start < 0 or stride < 1 or (end is not None and end < start):
            raise UserError(
                f"frames {start} to {end} with a stride of {stride} are no range of {self.path}; "
                f"count from 0 and go forward."
            )
        return iterate_ahead(self._frames(start, end, stride))

    @property
    def losses(self) -> str:
        """One sentence about the frames that could not be read so far; empty if all could be."""
        lost, damaged = len(self._lost) + self._cut, len(self._damaged - self._lost)
        parts = []
        if lost:
            parts.append(f"{lost} of its frames cannot be read")
        if damaged:
            parts.append(f"{damaged} {'others ' if lost else ''}may show errors")
        return f"{self.path} is damaged: {' and '.join(parts)}." if parts else ""

    def _no_frame(self, index: int) -> UserError:
        count = self.num_frames
        if index < 0 or (count is not None and index >= count):
            has = "" if count is None else f", which has {count}"
            return UserError(f"frame index {index} is not in {self.path}{has}; choose another one.")
        return UserError(
            f"frame index {index} of {self.path} cannot be read, because the file is damaged there "
            f"or ends earlier; choose another one."
        )


def open_video(
    path: str | Path, rate: Fraction | None = None, reader: str | None = None
) -> VideoSource:
    """Open a video file, or a folder of pictures as a video.

    Args:
        path: of a file in any format of FFmpeg, or of a folder whose PNG, JPEG, BMP, WebP, TIFF or
            PPM pictures have one size; they are sorted by name, numbers in it by value.
        rate: frames per second of a folder of pictures; :data:`FOLDER_RATE` by default.
        reader: of files: "pyav" or "opencv"; PyAV by default, and OpenCV where there is none.

    Raises:
        UserError: if the path is neither, or the video has no frame that can be read.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{path} cannot be opened ({reason[:1].lower()}{reason[1:]}); give the path of a video "
            f"or of a folder of pictures."
        ) from error
    if stat.S_ISDIR(mode):
        from vps_d2.io.video_pictures import PictureSource

        return PictureSource(path, rate or FOLDER_RATE)
    if not stat.S_ISREG(mode):
        raise UserError(
            f"{path} is a device, a pipe or a socket; give the path of a video or of a folder of "
            f"pictures."
        )
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} may not be read; change its permissions.")
    if not os.stat(path).st_size:
        raise UserError(f"{path} is empty; give the path of a video.")
    if reader is None:
        reader = "pyav" if importlib.util.find_spec("av") else "opencv"
    if reader == "pyav":
        from vps_d2.io.video_decoding import FileSource

        return FileSource(path)
    from vps_d2.io.video_opencv import OpenCVSource

    return OpenCVSource(path)


def video_name(path: Path) -> str:
    """Return the name of a video: the file's without its ending, or the folder's."""
    return Path(os.path.abspath(path)).name if path.is_dir() else path.stem


def list_videos(path: Path) -> list[tuple[str, str]]:
    """List the videos in a folder: video files, tar files of videos, and folders.

    Args:
        path: of a folder; one with pictures is a video itself, and holds none.

    Returns:
        the name of each file or folder, and that of the video; nothing if there are none.
    """
    names = os.listdir(path) if path.is_dir() else []
    if any(map(is_picture, names)):
        return []
    videos = []
    for name in sorted(names):
        stem, ending = os.path.splitext(name)
        if name.startswith("."):
            continue
        if ending.lower() in VIDEOS:
            videos.append((name, stem))
        elif ending.lower() == TAR or os.path.isdir(path / name):
            videos.append((name, name))
    return videos


def numbered_png(index: int) -> str:
    """Return the name of a picture that is named by the index of its frame: ``000007.png``."""
    return f"{index:06d}.png"


def fingerprint_video(path: str | Path) -> str:
    """Return a hash by which a video is recognized, wherever it lies.

    It is that of the name, the size and the first mebibyte of a file, or of the names and sizes of
    the files in a folder.
    """
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with suppress(OSError):
            digest.update(f"{file.name} {file.stat().st_size}".encode())
    if path.is_file():
        with path.open("rb") as content:
            digest.update(content.read(_HASHED_BYTES))
    return digest.hexdigest()


def is_picture(name: str) -> bool:
    """Return whether a file of this name is taken for a picture."""
    return name.lower().endswith(PICTURES) and not name.startswith(".")


def check_size(path: Path, height: int, width: int) -> None:
    """Check a frame's size before memory is taken for it.

    Raises:
        UserError: if it is empty or larger than :data:`MAX_PIXELS`.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise UserError(
            f"{path} says that its frames have {width} x {height} pixels, but only sizes up to "
            f"{MAX_PIXELS:,} pixels are read; make it smaller."
        )
