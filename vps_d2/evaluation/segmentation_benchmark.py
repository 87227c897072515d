"""Measure the segmentation of a whole video: the time of each part, and memory."""

import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2

from vps_d2.data.video import frame_indices, read_frames
from vps_d2.evaluation.benchmark import Figure
from vps_d2.inference.detectron_models import VPS_CONFIG, VPS_WEIGHTS, load_detectron_model
from vps_d2.inference.segmentation_results import ResultOptions
from vps_d2.inference.video_segmentation import SegmentOptions, VideoSegmentation
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.io.video_writing import VideoWriter

_PARTS = ("decode", "segment", "track", "write")
_RATE = Fraction(25)
# A process that runs the command named in its arguments, and prints its largest memory in KiB.
_MEASURE = (
    "import resource, sys; from vps_d2.cli.main import main; code = main(sys.argv[1:]); "
    "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def write_clip(path: Path, folders: list[Path], num_frames: int, rows: int | None = None) -> None:
    """Write the frames of videos as an MP4, again and again until there are enough.

    Args:
        path: of the file.
        folders: of videos of one size.
        num_frames: of the file.
        rows: height to which the frames are enlarged; None for their own.
    """
    frames = (f for folder in cycle(folders) for f in read_frames(folder, frame_indices(folder)))
    _, height, width, _ = read_frames(folders[0], [0]).shape
    if rows is not None:
        height, width = rows, round(width * rows / height)
        frames = (cv2.resize(f, (width, height)) for f in frames)
    with VideoWriter(path, height, width, _RATE) as writer:
        for index, frame in enumerate(islice(frames, num_frames)):
            writer.write(frame, index / _RATE)


def time_segmentation(
    folders: list[Path], *, device: str, precision: str, num_frames: int
) -> list[Figure]:
    """Measure each part of ``vps-d2 segment --model vps`` on one clip.

    Args:
        folders: of videos, whose frames are the clip.
        device: of the model.
        precision: "float32" or "bfloat16".
        num_frames: of the clip.

    Returns:
        milliseconds per frame of each part, and the share of tracking and writing in all.
    """
    keys = ["MODEL.DEVICE", device, "SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.DTYPE", precision]
    model = load_detectron_model(VPS_CONFIG, keys, weights=VPS_WEIGHTS)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, folders, num_frames)
        source = open_video(clip)
        model(next(source.frames()).picture[None])  # a warm-up
        run = VideoSegmentation(
            *(source, model, Path(folder, "out"), SegmentOptions(), ResultOptions())
        )
        seconds = run().seconds
    total = sum(seconds.values())
    name = f"segment, {{}}, {precision}"
    figures = [
        Figure(name.format(part), 1000 * seconds[part] / num_frames, "ms/frame", 1)
        for part in _PARTS
    ]
    share = 100 * (seconds["track"] + seconds["write"]) / total
    figures.append(Figure(name.format("track and write"), share, "% of all", 1))
    figures.append(Figure(name.format("all"), num_frames / total, "frames/s", 1))
    return figures


def measure_memory(folders: list[Path], *, device: str, num_frames: int) -> list[Figure]:
    """Measure the largest memory of ``vps-d2 segment`` on a short and on a long clip.

    Args:
        folders: of videos, whose frames are the clips.
        device: of the model.
        num_frames: of the long clip; the short one has 100.

    Raises:
        UserError: if this system does not tell, or the command fails.
    """
    if os.name == "nt":
        raise UserError("Windows does not tell the memory of a process; leave memory out.")
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (100, num_frames):
            clip = Path(folder, f"{count}.mp4")
            write_clip(clip, folders, count)
            command = ["segment", str(clip), "--model", "vps", "--output", folder]
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, *command, "--device", device],
                capture_output=True,
                text=True,
                check=False,
            )
            code, _, peak = (done.stdout.strip().rpartition("\n")[2]).partition(" ")
            if code != "0":
                raise UserError(f"vps-d2 segment failed ({done.stderr.strip()[-200:]}).")
            peaks[count] = int(peak) / (1024 if sys.platform == "linux" else 1024**2)
    figures = [
        Figure(f"segment, memory at {count} frames", peak, "MiB", 1)
        for count, peak in peaks.items()
    ]
    growth = 100 * (peaks[num_frames] / peaks[100] - 1)
    return [*figures, Figure("segment, growth of memory", growth, "%", 1)]
