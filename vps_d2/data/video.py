"""Videos on disk: the one reader and the one writer of frames and masks.

A video is a folder ``video_<n>`` with ``image_0.png``, ``image_1.png``, ... and, if labeled,
``mask.npy``. A hidden video has only its first frames and no mask.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB ``(T, H, W, 3)``; masks are
uint8 class maps ``(T, H, W)``. Frames are counted from 0.

This module does not import PyTorch, so that worker processes start fast.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from vps_d2.data.png import (
    END_BYTES,
    HEAD_BYTES,
    PictureError,
    check_end,
    check_upright,
    is_sound_png,
    max_bytes,
    parse_size,
)
from vps_d2.data.taxonomy import MAX_CLASSES
from vps_d2.io.arrays import array_bytes, open_array
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, write_folder

MIN_SIZE = 16
"""Least height and width of frames in pixels, a round number above the limits of the architectures
and scores: below 9, MaskSimVP's coarsest features can be a single value in a batch, which has no
deviation to be normalized by, and below 6, SSIM's window does not fit."""
MASK_FILE = "mask.npy"
"""Name of the file of masks in the folder of a labeled video."""

_FOLDER = re.compile(r"video_([0-9]+)")
_FRAME = re.compile(r"image_(0|[1-9][0-9]*)\.png")
# Run-length encoding compresses frames about as well as a search, in less time.
_PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 3]
_STORED_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 0]


REPLACE = "replace it"
"""What to do about most faults."""


class FaultError(UserError):
    """A fault in the data, which :mod:`vps_d2.data.faults` lists and at which a reader stops.

    Args:
        path: the file or folder at fault.
        reason: what is wrong with it.
        advice: what to do about it.
    """

    def __init__(self, path: str | Path, reason: str, advice: str = REPLACE) -> None:
        super().__init__(f"{path}: {reason}; {advice}.")
        self.path = Path(path)
        self.reason = reason
        self.advice = advice

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return FaultError, (str(self.path), self.reason, self.advice)


def video_number(folder: str | Path) -> int:
    """Return the number in a video's folder name: 7 for ``video_7`` and for ``video_00007``.

    Raises:
        UserError: if the name is not ``video_`` and a number.
    """
    match = _FOLDER.fullmatch(os.path.basename(folder))
    if match is None:
        raise UserError(f"{folder} is not a video: its name is not video_<number>; rename it.")
    return int(match[1])


def video_names(root: str | Path) -> list[str]:
    """Return the names of the folders in ``root`` that are named like videos, in order of number.

    Raises:
        FaultError: if ``root`` is not a folder.
    """
    if not os.path.isdir(root):
        raise FaultError(root, "not a folder", "give the folder that holds the video_<n> ones")
    with os.scandir(root) as entries:
        names = [
            entry.name
            for entry in entries
            if _FOLDER.fullmatch(entry.name)
            # A link to itself is not a folder.
            and (entry.is_dir(follow_symlinks=False) or os.path.isdir(entry.path))
        ]
    return sorted(sorted(names), key=video_number)


def group_videos(root: str | Path) -> dict[int, list[Path]]:
    """Return the folders in ``root`` that are named like videos, by number, in ascending order.

    More than one folder for a number is a fault of the data set that the caller must handle.

    Raises:
        FaultError: if ``root`` is not a folder.
    """
    groups = groupby(video_names(root), video_number)
    return {number: [Path(root, name) for name in names] for number, names in groups}


def find_videos(root: str | Path) -> list[Path]:
    """Return the video folders in ``root``, in order of the video number.

    Raises:
        FaultError: if ``root`` is not a folder or holds no video, or if two folders have the same
            number.
    """
    folders = []
    for number, group in group_videos(root).items():
        if len(group) > 1:
            raise FaultError(group[0], duplicate_reason(number, group), "remove one")
        folders += group
    if not folders:
        raise FaultError(root, "no video in it", "give the folder that holds the video_<n> ones")
    return folders


def duplicate_reason(number: int, group: Iterable[str | Path]) -> str:
    """Return the fault that several folders have the same video number."""
    names = " and ".join(map(os.path.basename, group))
    return f"two folders for video {number} ({names})"


def frame_path(folder: str | Path, frame_index: int) -> Path:
    """Return the path of one frame of a video."""
    return Path(folder, f"image_{frame_index}.png")


def frame_indices(folder: str | Path) -> list[int]:
    """Return the indices of the frames that a video folder holds, in order.

    Raises:
        FaultError: if ``folder`` is not a folder.
    """
    if not os.path.isdir(folder):
        raise FaultError(folder, "not a folder", "give the folder of a video")
    matches = (_FRAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match is not None)


def read_frame(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read one PNG of any depth, in color or gray; transparency is ignored.

    Args:
        path: of the file.
        size: height and width in pixels that the picture must have, checked before it is decoded;
            None for any.

    Returns:
        uint8 RGB ``(H, W, 3)``.

    Raises:
        FaultError: if the file is missing, not a readable picture, of another size or rotated by an
            EXIF tag.
    """
    data, found = _read_png(path, size)
    return _decode(path, data, found)


def check_frame(path: str | Path, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Check that :func:`read_frame` can read a PNG, in a third of its time.

    Args:
        path: of the file.
        size: height and width in pixels that the picture must have; None for any.

    Returns:
        height and width in pixels.

    Raises:
        FaultError: as :func:`read_frame_size` and :func:`read_frame` do.
    """
    data, found = _read_png(path, size)
    if not is_sound_png(data):
        with _named_faults(path):
            check_end(data)
        _decode(path, data, found)
    return found


def _read_png(path: str | Path, size: tuple[int, int] | None) -> tuple[bytes, tuple[int, int]]:
    """Return the content of a PNG, and its height and width; see :func:`read_frame`."""
    with _named_faults(path), open_regular(path) as file:
        head = file.read(HEAD_BYTES)
        found = parse_size(head)
        if size is not None and found != tuple(size):
            raise FaultError(path, frame_size_reason(found, size))
        # Otherwise as much memory as asked for would be allocated, a hundred times the file's size.
        count = min(max_bytes(found), os.fstat(file.fileno()).st_size)
        data = head + file.read(max(count - len(head), 0))
        check_upright(data)
    return data, found


def _decode(path: str | Path, data: bytes, size: tuple[int, int]) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None or picture.shape[:2] != size:
        raise FaultError(path, "unreadable PNG")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def read_frame_size(path: str | Path) -> tuple[int, int]:
    """Read the size of a PNG from its first bytes, and check that its last ones exist.

    Returns:
        height and width in pixels.

    Raises:
        FaultError: if the file is missing, not a PNG, cut off, or rotated by an EXIF tag.
    """
    with _named_faults(path), open_regular(path) as file:
        head = file.read(HEAD_BYTES)
        size = parse_size(head)
        check_upright(head)
        file.seek(-END_BYTES, os.SEEK_END)
        check_end(file.read())
    return size


@contextmanager
def _named_faults(path: str | Path) -> Iterator[None]:
    """Turn an error in reading a frame into a fault of its path."""
    try:
        yield
    except FileNotFoundError as error:
        reason, advice = "missing frame", "complete the video or remove it"
        raise FaultError(path, reason, advice) from error
    except OSError as error:
        raise FaultError(path, f"unreadable PNG ({error.strerror})") from error
    except PictureError as error:
        raise FaultError(path, error.reason, error.advice) from error


def read_frames(folder: str | Path, indices: Iterable[int]) -> np.ndarray:
    """Read some frames of a video, and open no other file of it.

    Args:
        folder: the video.
        indices: which frames, counted from 0, in the order wanted.

    Returns:
        uint8 RGB ``(T, H, W, 3)``.

    Raises:
        FaultError: if a frame is missing or unreadable, or if the frames differ in size.
    """
    frames: list[np.ndarray] = []
    for index in indices:
        size = frames[0].shape[:2] if frames else None
        frames.append(read_frame(frame_path(folder, index), size))
    if not frames:
        raise UserError(f"{folder}: no frame was asked for; give at least one index.")
    return np.stack(frames)


def frame_size_reason(size: Sequence[int], others: Sequence[int]) -> str:
    """Return the fault that a frame's size, height and width, differs from that of the others."""
    return (
        f"frames of different sizes (this one is {size[1]}x{size[0]}, "
        f"others are {others[1]}x{others[0]})"
    )


def open_masks(path: str | Path) -> np.ndarray:
    """Map an ``.npy`` file of masks into memory and check its form, without reading its pixels.

    Returns:
        uint8 ``(T, H, W)`` or ``(H, W)``, read-only.

    Raises:
        FaultError: if the file is missing, is not an ``.npy`` file or not uint8.
    """
    try:
        masks = open_array(path, mapped=True)
    except FileNotFoundError as error:
        raise FaultError(path, "missing mask", "add it or remove the video") from error
    except (OSError, ValueError) as error:
        raise FaultError(path, "unreadable mask") from error
    if masks.dtype != np.uint8:
        raise FaultError(path, f"mask of the wrong dtype ({masks.dtype}, not uint8)", "convert it")
    if masks.ndim not in (2, 3):
        raise FaultError(path, f"mask of the wrong shape {masks.shape}")
    return masks


def read_mask(
    path: str | Path, index: int | None = None, num_classes: int = MAX_CLASSES
) -> np.ndarray:
    """Read one mask.

    Args:
        path: an ``.npy`` file.
        index: which of the masks of a ``(T, H, W)`` file, -1 for the last; None for a file of one
            ``(H, W)`` mask.
        num_classes: background included; a higher number in the mask is a fault.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        FaultError: if the file is missing, unreadable, or has the wrong shape, dtype or class
            number.
    """
    masks = open_masks(path)
    if masks.ndim != (2 if index is None else 3):
        raise FaultError(path, f"mask of the wrong shape {masks.shape}")
    if index is None:
        mask = np.array(masks)
    elif -1 <= index < len(masks):
        mask = np.array(masks[index])
    else:
        raise FaultError(path, f"mask with {len(masks)} frames, without frame {index + 1}")
    check_classes(path, mask, num_classes)
    return mask


def read_masks(folder: str | Path, num_classes: int = MAX_CLASSES) -> np.ndarray:
    """Read the masks of a labeled video.

    Args:
        folder: the video.
        num_classes: background included; a higher number in a mask is a fault.

    Returns:
        uint8 ``(T, H, W)``.

    Raises:
        FaultError: if the file is missing, unreadable, or has the wrong shape, dtype or class
            number.
    """
    path = Path(folder, MASK_FILE)
    masks = np.array(open_masks(path))
    if masks.ndim != 3 or not len(masks):
        raise FaultError(path, f"mask of the wrong shape {masks.shape}")
    check_classes(path, masks, num_classes)
    return masks


def check_classes(path: str | Path, masks: np.ndarray, num_classes: int = MAX_CLASSES) -> None:
    """Check the class numbers of masks, uint8 of any shape, that ``path`` holds.

    Args:
        path: of the masks.
        masks: to check.
        num_classes: background included.

    Raises:
        FaultError: if a number is above the highest class.
    """
    if masks.size and (highest := int(masks.max())) >= num_classes:
        reason = f"mask with class number {highest}, above the highest one, {num_classes - 1}"
        raise FaultError(path, reason, "correct it")


def write_video(
    folder: str | Path,
    frames: np.ndarray,
    masks: np.ndarray | None = None,
    extra: Mapping[str, object] | None = None,
    stored: bool = False,
) -> None:
    """Write a video, whole or not at all.

    An existing video is replaced.

    Args:
        folder: ``.../video_<n>``.
        frames: uint8 RGB ``(T, H, W, 3)``.
        masks: uint8 ``(T, H, W)``, for a labeled video.
        extra: JSON files to write beside the frames: file name -> content.
        stored: see :func:`encode_frame`.

    Raises:
        UserError: if the frames or masks have another shape or dtype, or cannot be written.
    """
    folder = Path(folder)
    video_number(folder)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise UserError(
            f"{folder}: frames must be uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}."
        )
    if masks is not None:
        if masks.dtype != np.uint8 or masks.ndim != 3 or masks.shape[1:] != frames.shape[1:3]:
            raise UserError(
                f"{folder}: masks must be uint8 (T, H, W) of the size of the frames, not "
                f"{masks.dtype} {masks.shape}."
            )
        check_classes(folder / MASK_FILE, masks)
    with write_folder(folder) as unfinished:
        for index, frame in enumerate(frames):
            frame_path(unfinished, index).write_bytes(encode_frame(frame, stored).tobytes())
        if masks is not None:
            (unfinished / MASK_FILE).write_bytes(array_bytes(masks))
        for name, content in (extra or {}).items():
            (unfinished / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


def encode_frame(frame: np.ndarray, stored: bool = False) -> np.ndarray:
    """Return a frame as a PNG.

    Args:
        frame: uint8 RGB ``(H, W, 3)``.
        stored: do not compress it: it takes 2.5 times the space, and a quarter of the time to read.

    Returns:
        the bytes of the file, uint8 ``(bytes,)``.
    """
    options = _STORED_OPTIONS if stored else _PNG_OPTIONS
    _, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    return data
