"""Every fault of a data set, found in one pass.

A scan reads the first and last bytes of every frame and all of every mask. It finds all faults
except pixels damaged in the middle of a file, takes a few seconds for a thousand videos, and runs
whenever a data set is loaded. With ``decode``, as in ``vps-d2 check-dataset``, it also reads every
frame to its end; a training run that comes across such a frame stops with the same message.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from vps_d2.data.layout import LAYOUT_FILE, VPS_LAYOUT, VideoLayout, read_layout
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import (
    MASK_FILE,
    MIN_SIZE,
    REPLACE,
    FaultError,
    check_classes,
    check_frame,
    duplicate_reason,
    frame_indices,
    frame_path,
    frame_size_reason,
    open_masks,
    read_frame_size,
    video_names,
    video_number,
)
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls
from vps_d2.io.prefetch import prefetch

KINDS = ("labeled", "unlabeled", "hidden")
"""What a video must hold: all frames and masks; all frames; the known frames or more."""

_THREADS = 4
_AHEAD = 16  # videos that are checked before their turn
_SHOWN = 10  # faults that one sentence names before it counts the rest
_NAMES_SHOWN = 3
_MISSING_SHOWN = 100  # missing frames of one video that a check lists
_PICTURES = {
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"),
    *(".mp4", ".avi", ".mov", ".mkv", ".webm"),
}

Video = TypeVar("Video")


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a data set.

    Args:
        path: the file or folder at fault.
        reason: what is wrong with it.
        advice: what to do about it, if that is more than to replace it.
    """

    path: Path
    reason: str
    advice: str = ""

    @classmethod
    def of(cls, error: FaultError) -> "Fault":
        """Return the fault that a reader stopped at."""
        advice = "" if error.advice == REPLACE else error.advice
        return cls(error.path, error.reason, advice)

    def __str__(self) -> str:
        advice = f" ({self.advice})" if self.advice else ""
        return escape_controls(f"{self.path}: {self.reason}{advice}")


@dataclass
class Scan:
    """The result of scanning one video.

    Args:
        folder: the video.
        size: height and width of its frames in pixels; None if no frame can be read.
        num_frames: frames in it.
        has_masks: whether it was scanned as a labeled video.
        faults: what is wrong with it.
    """

    folder: Path
    size: tuple[int, int] | None = None
    num_frames: int = 0
    has_masks: bool = False
    faults: list[Fault] = field(default_factory=list)


def split_kind(root: str | Path) -> str:
    """Infer from a folder of videos which of :data:`KINDS` its videos are meant to be.

    A folder named ``hidden`` holds hidden videos. Any other holds labeled ones if one video has
    a mask. Without masks, ``train``, ``val`` and ``unlabeled`` hold whole videos, and a
    folder of another name may hold shorter ones, as ``hidden`` does.
    """
    name = Path(root).name
    if name == "hidden":
        return "hidden"
    if any(os.path.exists(os.path.join(root, each, MASK_FILE)) for each in video_names(root)):
        return "labeled"
    return "unlabeled" if name in ("train", "val", "unlabeled") else "hidden"


def scan_video(
    folder: Path, kind: str, decode: bool = False, layout: VideoLayout = VPS_LAYOUT
) -> Scan:
    """Check one video.

    Args:
        folder: the video.
        kind: one of :data:`KINDS`.
        decode: check every frame completely, instead of only both ends of its file.
        layout: classes and number of frames that are expected.

    Returns:
        what was found, including faults.
    """
    scan = Scan(folder)
    present = frame_indices(folder)
    scan.num_frames = len(present)
    whole = layout.num_frames if kind != "hidden" else None
    # Without a fixed number of frames, none may be missing before the last.
    expected = whole or max(layout.num_known, max(present, default=-1) + 1)
    count = expected - bisect_left(
        present, expected
    )  # only missing ones are counted, since a file name can have any number
    others = _other_pictures(folder) if count else []
    if others and (len(others) >= count or not present):  # these may be the missing frames
        scan.faults.append(Fault(folder, _names_reason(expected, count, others)))
    elif count and not present:
        scan.faults.append(Fault(folder, f"no frame in it, of {expected}"))
    else:
        there = set(present)
        missing = (index for index in range(expected) if index not in there)
        shown = count if count <= _MISSING_SHOWN else 1
        scan.faults += [
            Fault(frame_path(folder, index), "missing frame") for index in islice(missing, shown)
        ]
        if count > shown:
            scan.faults.append(Fault(folder, f"{count - shown} more missing frames"))
    extra = "extra frame"
    if layout == VPS_LAYOUT:  # assumed if nothing describes the videos
        extra += f" (videos with another number of frames than {expected} need a {LAYOUT_FILE})"
    for index in (index for index in present if index >= expected):
        scan.faults.append(Fault(frame_path(folder, index), extra))
    for index in present:
        path = frame_path(folder, index)
        try:
            size = check_frame(path, scan.size) if decode else read_frame_size(path)
            if scan.size not in (None, size):
                raise FaultError(path, frame_size_reason(size, scan.size))
        except FaultError as error:
            scan.faults.append(Fault.of(error))
            continue
        scan.size = size
    if scan.size is not None and min(scan.size) < MIN_SIZE:
        height, width = scan.size
        reason = f"frames of {width}x{height} pixels, smaller than {MIN_SIZE}x{MIN_SIZE}"
        scan.faults.append(Fault(folder, reason))
    if kind == "labeled":
        scan.has_masks = True
        scan.faults += _scan_masks(folder / MASK_FILE, scan.size, expected, layout.taxonomy)
    return scan


def _other_pictures(folder: Path) -> list[str]:
    """Return the names of pictures and films in a folder that are not named like frames."""
    names = (path.name for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
    frames = {frame_path(folder, index).name for index in frame_indices(folder)}
    return sorted(name for name in names if name not in frames and not name.startswith("."))


def _names_reason(expected: int, missing: int, others: Sequence[str]) -> str:
    shown = ", ".join(others[:_NAMES_SHOWN])
    more = f" and {len(others) - _NAMES_SHOWN} more" if len(others) > _NAMES_SHOWN else ""
    first, last = (frame_path("", index).name for index in (0, expected - 1))
    return (
        f"{missing} missing frame{'s' * (missing > 1)}, but {shown}{more} in it; frames "
        f"are named {first} ... {last}"
    )


def _scan_masks(
    path: Path, size: tuple[int, int] | None, num_frames: int, taxonomy: Taxonomy
) -> list[Fault]:
    try:
        masks = open_masks(path)
        if masks.ndim != 3:
            return [Fault(path, f"mask of the wrong shape {masks.shape}")]
        if len(masks) != num_frames:
            return [Fault(path, f"mask with {len(masks)} frames, not {num_frames}")]
        if size is not None and masks.shape[1:] != size:
            reason = f"mask of {masks.shape[2]}x{masks.shape[1]}, but frames of {size[1]}x{size[0]}"
            return [Fault(path, f"mask of the wrong shape ({reason})")]
        check_classes(path, np.asarray(masks), taxonomy.num_classes)
    except FaultError as error:
        return [Fault.of(error)]
    return []


def scan_split(
    root: str | Path,
    layout: VideoLayout | None = None,
    kind: str | None = None,
    decode: bool = False,
    progress: bool = False,
) -> tuple[list[Scan], list[Fault]]:
    """Check all videos in one folder.

    Args:
        root: folder that holds ``video_<n>`` folders.
        layout: classes and number of frames that are expected; None for those of the folder
            (:func:`~vps_d2.data.layout.read_layout`).
        kind: one of :data:`KINDS`; None to infer it from the folder (:func:`split_kind`).
        decode: decode every frame.
        progress: show a progress bar if there are many videos.

    Returns:
        the faultless videos in order of their number, and every fault of the others.
    """
    try:
        scans = list(_start_scan(root, layout, kind, decode, progress))
    except FaultError as error:
        return [], [Fault.of(error)]
    sizes: dict[tuple[int, int], list[Scan]] = {}
    for scan in scans:
        if scan.size is not None:
            sizes.setdefault(scan.size, []).append(scan)
    for scan, reason in _find_odd(sizes):
        scan.faults.append(Fault(scan.folder, reason))
    faults = [fault for scan in scans for fault in scan.faults]
    return [scan for scan in scans if not scan.faults], faults


def _start_scan(
    root: str | Path,
    layout: VideoLayout | None,
    kind: str | None,
    decode: bool,
    progress: bool,
) -> Iterator[Scan]:
    """List the videos in one folder, and return what checks them one after another.

    Raises:
        FaultError: if it is not a folder, or there is no video in it.
    """
    names = video_names(root)
    if not names:
        raise FaultError(root, "no video in it")
    kind = kind or split_kind(root)
    expected = layout or read_layout(root)
    folders = (Path(root, name) for name in names)
    scans = prefetch(
        lambda folder: try_to_scan(folder, kind, decode, expected), folders, _AHEAD, _THREADS
    )
    bar = tqdm(
        scans,
        desc=escape_controls(f"checking {root}"),
        total=len(names),
        unit="video",
        disable=None if progress and len(names) > 100 else True,
    )
    return _report_duplicates(bar, names)


def _report_duplicates(scans: Iterable[Scan], names: list[str]) -> Iterator[Scan]:
    """Add to each scan whether another folder has the same number."""
    remaining = iter(scans)
    for number, group in groupby(names, video_number):
        same = list(group)
        for scan in islice(remaining, len(same)):
            if len(same) > 1:
                scan.faults.insert(0, Fault(scan.folder, duplicate_reason(number, same)))
            yield scan


def try_to_scan(folder: Path, kind: str, decode: bool, layout: VideoLayout) -> Scan:
    """Check one video; if it cannot be read, or is too large for the memory, that is its fault."""
    try:
        return scan_video(folder, kind, decode, layout)
    except FaultError as error:
        return Scan(folder, faults=[Fault.of(error)])
    except OSError as error:
        path = error.filename if isinstance(error.filename, str) else folder
        return Scan(folder, faults=[Fault(Path(path), f"unreadable ({error.strerror})")])
    except MemoryError:
        return Scan(folder, faults=[Fault(folder, "too large for the memory")])


def _find_odd(sizes: Mapping[tuple[int, int], list[Video]]) -> Iterator[tuple[Video, str]]:
    """Find the videos whose size is not that of most: a batch holds frames of one size.

    Args:
        sizes: the videos of each size.

    Yields:
        each video of another size, and what is wrong with it.
    """
    usual = max(sizes, key=lambda size: len(sizes[size]), default=None)
    for size, videos in sizes.items():
        if usual is not None and size != usual:
            yield from ((video, frame_size_reason(size, usual)) for video in videos)


def check_dataset(
    folder: str | Path, report: Callable[[Fault], None], progress: bool = False
) -> int:
    """Find every fault of a data set, decoding every frame.

    No fault is kept, so that the memory does not grow with their number.

    Args:
        folder: a folder of videos, or a folder of such folders (train, val, ...).
        report: called with each fault as soon as it is found.
        progress: show progress bars.

    Returns:
        the number of faultless videos.
    """
    good = 0
    for split in _find_splits(Path(folder)):
        try:
            scans = _start_scan(split, None, None, decode=True, progress=progress)
        except FaultError as error:
            report(Fault.of(error))
        except UserError as error:  # the description of the videos is wrong
            report(_split_fault(split, str(error)))
        except OSError as error:
            report(_split_fault(split, f"unreadable ({error.strerror})"))
        else:
            good += _check_split(split, scans, report)
    return good


def _check_split(split: Path, scans: Iterable[Scan], report: Callable[[Fault], None]) -> int:
    """Report the faults of the videos in one folder, and return how many videos have none."""
    good = 0
    sizes: dict[tuple[int, int], list[tuple[str, bool]]] = {}  # names, and whether they are good
    for scan in scans:
        good += not scan.faults
        for fault in scan.faults:
            report(fault)
        if scan.size is not None:
            sizes.setdefault(scan.size, []).append((scan.folder.name, not scan.faults))
    for (name, was_good), reason in _find_odd(sizes):
        good -= was_good
        report(Fault(split / name, reason))
    return good


def _find_splits(folder: Path) -> list[Path]:
    if not folder.is_dir() or video_names(folder):
        return [folder]
    names = ("train", "val", "unlabeled", "hidden")
    inner = sorted(path for path in folder.iterdir() if os.path.isdir(path))
    return [path for path in inner if path.name in names or _holds_videos(path)] or [folder]


def _holds_videos(folder: Path) -> bool:
    try:
        return bool(video_names(folder))
    except OSError:  # the check of the folder reports it
        return True


def _split_fault(split: Path, reason: str) -> Fault:
    for path in (split / LAYOUT_FILE, split):
        if reason.startswith(str(path)):
            return Fault(path, reason.removeprefix(str(path)).lstrip(": ").rstrip("."))
    return Fault(split, reason.rstrip("."))


def faults_error(name: str, faults: Sequence[Fault], way_out: str = "") -> UserError:
    """Return the error for a data set with faults.

    Args:
        name: of the data set.
        faults: what is wrong with it.
        way_out: what can be done instead of fixing them; "" for nothing.
    """
    shown = "; ".join(str(fault) for fault in faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    otherwise = f", or {way_out}" if way_out else ""
    return UserError(
        f"data set {name} has {len(faults)} fault{'s' * (len(faults) > 1)}: {shown}{more}; "
        f"correct the data (vps-d2 check-dataset lists all faults){otherwise}."
    )


def stop_or_log(
    name: str,
    faults: Sequence[Fault],
    num_good: int,
    skip_faulty: bool,
    log: Callable[[str], None],
    switch: str = "set DATASETS.SKIP_FAULTY True",
) -> None:
    """Handle the faults of a data set that is about to be used.

    Args:
        name: of the data set.
        faults: what is wrong with it; nothing happens if it is empty.
        num_good: how many samples are faultless.
        skip_faulty: go on without the faulty part.
        log: called with each line about what is left out.
        switch: how a user sets ``skip_faulty``, for the error message.

    Raises:
        UserError: if there are faults and ``skip_faulty`` is False, or nothing is faultless.
    """
    if not faults:
        return
    if not (skip_faulty and num_good):
        raise faults_error(name, faults, f"{switch} to use the rest" if num_good else "")
    for fault in faults:
        log(f"left out of {name}: {fault}")
