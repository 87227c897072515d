"""The list of videos that a pipeline is run on, with the faults of those that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vps_d2.data.faults import Fault, faults_error, scan_split
from vps_d2.data.layout import read_layout
from vps_d2.data.video import duplicate_reason, group_videos


@dataclass(frozen=True)
class Video:
    """One row of the output.

    Args:
        folder: the video.
        reason: why it cannot be read; "" if it can.
    """

    folder: Path
    reason: str = ""


def list_videos(
    root: Path, num_known: int, skip_faulty: bool
) -> tuple[list[Video], tuple[int, int]]:
    """List the videos of a folder, and check them.

    Args:
        root: folder of videos.
        num_known: the least number of frames in each.
        skip_faulty: list faulty videos with their reason instead of stopping.

    Returns:
        the videos in order of their numbers, and the height and width of their frames.

    Raises:
        UserError: if there are faults and ``skip_faulty`` is False, or if every video is faulty.
    """
    layout = replace(read_layout(root), num_known=num_known, num_frames=None)
    scans, faults = scan_split(root, layout, kind="hidden", progress=True)
    if (faults and not skip_faulty) or not scans:
        way_out = "give --skip-faulty to write background for videos that cannot be read"
        raise faults_error(str(root), faults, way_out if scans else "")
    assert scans[0].size is not None
    reasons = _reasons(faults)
    videos = []
    for number, group in group_videos(root).items():
        reason = duplicate_reason(number, group) if len(group) > 1 else ""
        videos.append(Video(group[0], reason or reasons.get(group[0], "")))
    return videos, scans[0].size


def _reasons(faults: Sequence[Fault]) -> dict[Path, str]:
    reasons: dict[Path, str] = {}
    for fault in faults:
        inside = fault.path.suffix == ".png"
        folder = fault.path.parent if inside else fault.path
        reason = f"{fault.path.name}: {fault.reason}" if inside else fault.reason
        reasons[folder] = f"{reasons[folder]}; {reason}" if folder in reasons else reason
    return reasons
