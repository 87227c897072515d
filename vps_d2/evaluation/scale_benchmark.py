"""Measure what a run over very many videos depends on.

Throughput of several processes, the start and the memory over the number of videos, and videos in
folders, tar files and video files.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

from vps_d2.data.video import frame_indices, frame_path, read_frames
from vps_d2.evaluation.benchmark import Figure
from vps_d2.evaluation.segmentation_benchmark import write_clip
from vps_d2.io.errors import UserError
from vps_d2.io.tars import pack_folder, unpacked
from vps_d2.io.video import open_video

PROCESSES = (1, 2, 4)
_LABEL = (
    *("label", "--config-file", "configs/unet/unet_frames.yaml", "--threshold", "0"),
    *("MODEL.WEIGHTS", "package://unet.pth", "MODEL.DEVICE", "cpu"),
)
_OUT = "OUT"  # stands for the folder of results
_WAIT = 600  # seconds for the first result


def time_processes(folders: Sequence[Path], *, num_videos: int, repeats: int) -> list[Figure]:
    """Measure labeling and generation shared by 1, 2 and 4 processes of one thread each.

    Args:
        folders: of videos to label, again and again until there are enough.
        num_videos: of each measurement; the time from the first to the last result counts.
        repeats: of each measurement, in turns.

    Returns:
        videos per second, CPU seconds per video, the start included, and the efficiency: the
        throughput over that of one process, and over the number of processes.
    """
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        link_videos(source, folders, num_videos)
        splits = ("--train", str(num_videos), "--val", "0", "--unlabeled", "0", "--hidden", "0")
        commands = {
            "label": [*_LABEL[:5], "--input", str(source), "--output", _OUT, *_LABEL[5:]],
            "make-synthetic": ["make-synthetic", "--out", _OUT, *splits, "--workers", "1"],
        }
        for name, command in commands.items():
            speeds: dict[int, list[float]] = {count: [] for count in PROCESSES}
            costs: dict[int, list[float]] = {count: [] for count in PROCESSES}
            for repeat in range(repeats):
                for count in PROCESSES:
                    out = Path(scratch, f"{name}_{repeat}_{count}")
                    before = os.times()
                    _run_shards([str(out) if each == _OUT else each for each in command], count)
                    after = os.times()
                    cpu = after.children_user - before.children_user
                    cpu += after.children_system - before.children_system
                    ends = sorted(path.stat().st_mtime for path in out.glob("**/mask.npy"))
                    # What the processes did until their first results is not in the time.
                    speeds[count].append((len(ends) - count) / max(ends[-1] - ends[0], 1e-9))
                    costs[count].append(cpu / num_videos)
                    shutil.rmtree(out)
            one = statistics.median(speeds[1])
            for count in PROCESSES:
                speed = statistics.median(speeds[count])
                title = f"{name}, {count} process{'es' * (count > 1)}"
                figures += [
                    Figure(title, speed, "videos/s", repeats),
                    Figure(f"{title}, CPU", statistics.median(costs[count]), "s/video", repeats),
                    Figure(f"{title}, efficiency", 100 * speed / one / count, "%", repeats),
                ]
    return figures


def _run_shards(command: list[str], count: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "vps_d2", command[0], "--shard", f"{i}/{count}", *command[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for i in range(count)
    ]
    for process in processes:
        _, errors = process.communicate()
        if process.returncode:
            raise UserError(f"vps-d2 {command[0]} failed ({errors.strip()[-200:]}).")


def measure_start(folders: Sequence[Path], *, counts: Sequence[int]) -> list[Figure]:
    """Measure the time and memory of ``label``, ``predict`` and ``segment`` to the first result.

    Args:
        folders: of videos; folders of any number of videos are made of links to them.
        counts: numbers of videos.

    Raises:
        UserError: if this system does not tell the memory of a process, or a command fails.
    """
    if os.name == "nt":
        raise UserError("Windows does not tell the memory of a process; leave scale out.")
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in counts:
            source = Path(scratch, str(count))
            link_videos(source, folders, count)
            options = ["--input", str(source), "--output"]
            commands = {
                "label": ([*_LABEL[:5], *options], _LABEL[5:], "*/mask.npy"),
                "predict": (["predict", *options], ("MODEL.DEVICE", "cpu"), "parts/progress*"),
                "segment": (
                    ["segment", str(source), "--model", "vps", "--device", "cpu", "--output"],
                    (),
                    "*/result.json",
                ),
            }
            for name, (command, keys, result) in commands.items():
                out = Path(scratch, f"{count}_{name}")
                seconds, memory = _run_to_first([*command, str(out), *keys], out, result)
                title = f"{name}, {count} videos"
                figures.append(Figure(f"{title}, to the first result", seconds, "s", 1))
                figures.append(Figure(f"{title}, memory", memory, "MiB", 1))
    return figures


def _run_to_first(command: list[str], out: Path, pattern: str) -> tuple[float, float]:
    """Run a command until it has a result, and return the seconds and the most memory in MiB."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "vps_d2", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while next(out.glob(pattern), None) is None:
        if process.poll() is not None or time.monotonic() - begin > _WAIT:
            process.kill()
            raise UserError(f"vps-d2 {command[0]} has ended without a result, or takes too long.")
        time.sleep(0.05)
    seconds = time.monotonic() - begin
    os.kill(process.pid, signal.SIGKILL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return seconds, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def time_formats(folders: Sequence[Path], *, num_videos: int, repeats: int) -> list[Figure]:
    """Measure reading videos from folders, a tar file, and lossy video files, in one thread.

    Args:
        folders: of videos, copied again and again until there are enough.
        num_videos: to read.
        repeats: of each measurement.

    Returns:
        milliseconds, bytes on the disk and files per video.
    """
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        names = [f"video_{number:05d}" for number in range(num_videos)]
        pictures, films, tar = (Path(scratch, name) for name in ("folders", "films", "videos.tar"))
        films.mkdir()
        for name, folder in zip(names, cycle(folders), strict=False):
            copy = pictures / name
            copy.mkdir(parents=True)
            for index in frame_indices(folder):
                shutil.copy(frame_path(folder, index), copy)
            write_clip(films / f"{name}.mp4", [folder], len(frame_indices(folder)))
        pack_folder(pictures, tar)

        def read_folders(root: Path = pictures) -> None:
            for name in names:
                read_frames(root / name, frame_indices(root / name))

        def read_tar() -> None:
            with unpacked(tar) as root:
                read_folders(root)

        def read_films() -> None:
            for path in films.iterdir():
                for _ in open_video(path).frames():
                    pass

        ways = {"folders": (read_folders, pictures), "tar": (read_tar, tar)}
        ways["mp4"] = (read_films, films)
        for name, (step, path) in ways.items():
            times = [_time(step) for _ in range(repeats + 1)][1:]  # the first warms up
            wall, cpu = (statistics.median(each) / num_videos for each in zip(*times, strict=True))
            files = [each for each in (path, *path.rglob("*")) if each.is_file()]
            size = sum(each.stat().st_size for each in files) / num_videos
            figures += [
                Figure(f"{name}, read", 1000 * wall, "ms/video", repeats),
                Figure(f"{name}, read, CPU", 1000 * cpu, "ms/video", repeats),
                Figure(f"{name}, size", size / 1000, "kB/video", 1),
                Figure(f"{name}, files", len(files) / num_videos, "files/video", 1),
            ]
    return figures


def _time(step: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds that pass, and those of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def link_videos(root: Path, folders: Sequence[Path], count: int) -> None:
    """Make a folder of links to the folders of videos, again and again until there are enough.

    Raises:
        OSError: if the system permits no links to folders.
    """
    root.mkdir(parents=True)
    for number, folder in enumerate(islice(cycle(folders), count)):
        os.symlink(folder.resolve(), root / f"video_{number:06d}", target_is_directory=True)
