"""Generated videos, one or whole data sets of them in the layout that the project reads."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from vps_d2.data.synthetic.physics import engine_version, simulate
from vps_d2.data.synthetic.render import render, render_masks
from vps_d2.data.synthetic.scene import Scene, SyntheticOptions
from vps_d2.data.video import group_videos, write_video
from vps_d2.data.vps import NUM_FRAMES, NUM_INPUT_FRAMES
from vps_d2.io.arrays import write_rows
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder
from vps_d2.io.settings import check_settings
from vps_d2.io.shards import WHOLE, Shard, shard_name
from vps_d2.io.workers import can_have_workers, count_cpus

__all__ = ["SPLITS", "SyntheticVideo", "generate_video", "make_dataset", "video_seed"]

SPLITS = ("train", "val", "unlabeled", "hidden")
"""In the order in which videos are numbered."""
SETTINGS_FILE = "synthetic.json"
TRUTH_FILE = "hidden_truth.npy"
_RANDOMIZED_SPLITS = ("train", "unlabeled")
_MAX_VIDEOS = 10_000_000
_MAX_WORKERS = 61 if os.name == "nt" else 1024  # Windows cannot wait for more

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SyntheticVideo:
    """A generated video.

    Args:
        frames: uint8 RGB (22, H, W, 3).
        masks: class numbers, uint8 (22, H, W).
        scene: what it shows.
    """

    frames: np.ndarray
    masks: np.ndarray
    scene: Scene


def generate_video(seed: int, options: SyntheticOptions | None = None) -> SyntheticVideo:
    """Make the video of a seed.

    Args:
        seed: 0 or more; the same seed and options give the same video.
        options: size and variation; None for videos like the real ones.
    """
    options = options or SyntheticOptions()
    scene = simulate(seed, options)
    frames, masks = render(scene, options)
    return SyntheticVideo(frames, masks, scene)


def video_seed(seed: int, number: int) -> int:
    """Return the seed of video ``number`` of a data set made with ``seed``."""
    return seed * _MAX_VIDEOS + number


def check_count(count: int) -> None:
    """Check the number of videos of a data set, before they are planned one by one.

    Raises:
        UserError: if there are so many that they would share seeds with another data set.
    """
    if count > _MAX_VIDEOS:
        raise UserError(
            f"a data set can have {_MAX_VIDEOS:,} videos, not {count}; make several, each with "
            "another --seed."
        )


@dataclass(frozen=True)
class _Job:
    """One video to write."""

    split: str
    number: int
    seed: int
    out: Path
    options: SyntheticOptions
    stored: bool = False

    @property
    def folder(self) -> Path:
        return self.out / self.split / f"video_{self.number:05d}"


def make_dataset(
    out: str | Path,
    counts: Mapping[str, int],
    *,
    seed: int = 0,
    options: SyntheticOptions | None = None,
    randomize: bool = False,
    stored: bool = False,
    workers: int | None = None,
    shard: Shard = WHOLE,
) -> int:
    """Write ``out/<split>/video_<n>/`` for every split, and ``out/hidden_truth.npy``.

    Existing videos are kept, so an interrupted run goes on where it stopped. Hidden videos have the
    first 11 frames and no masks; the masks of their frame 22 are the truth file, uint8 (N, H, W).
    Labeled videos have a ``scene.json``.

    Args:
        out: folder of the data set.
        counts: number of videos in each of ``SPLITS``; 0 for those not named.
        seed: of the data set; any number of workers gives the same bytes.
        options: size and variation of every video.
        randomize: whether train and unlabeled vary as in the training of the shipped weights.
        stored: write frames without compression; see :func:`vps_d2.data.video.encode_frame`.
        workers: processes; None for one on each CPU.
        shard: the videos to write; the truth is only written with all of them.

    Returns:
        how many videos were written.

    Raises:
        UserError: if there are too many videos, the engine is not installed, or ``out`` holds a
            data set of other settings or origin, is being written by another run, or cannot be
            written.
    """
    out = Path(out)
    options = options or SyntheticOptions()
    check_count(sum(counts.values()))
    settings = {
        "seed": seed,
        "counts": {split: counts.get(split, 0) for split in SPLITS},
        "options": asdict(options),
        "randomize": randomize,
        "engine": engine_version(options.physics),
    }
    with claim_folder(out, shard_name(shard), SPLITS):
        _refuse_foreign(out, [split for split in SPLITS if counts.get(split)])
        check_settings(out / SETTINGS_FILE, settings)
        plan = _Plan(out, counts, seed, options, randomize, stored)
        written = write_missing(
            _write_one, plan, len(plan), lambda job: job.folder.exists(), shard, workers
        )
        hidden = counts.get("hidden", 0)
        if shard == WHOLE and hidden and not (out / TRUTH_FILE).exists():
            jobs = (job for job in plan if job.split == "hidden")
            _write_truth(out / TRUTH_FILE, jobs, (hidden, options.height, options.width))
        return written


def _refuse_foreign(out: Path, splits: Sequence[str]) -> None:
    """Refuse to mix generated videos, or the truth, with other files."""
    taken = [out / split for split in splits if _holds_videos(out / split)]
    if "hidden" in splits and (out / TRUTH_FILE).exists():
        taken.append(out / TRUTH_FILE)
    # In this order: another shard writes its settings before its videos.
    if taken and not (out / SETTINGS_FILE).exists():
        raise UserError(
            f"{taken[0]} already exists, without a {SETTINGS_FILE} that says how it was made; "
            "choose another --out."
        )


def _holds_videos(folder: Path) -> bool:
    return folder.is_dir() and bool(group_videos(folder))


@dataclass(frozen=True)
class _Plan:
    """The videos of every split, numbered; there may be very many."""

    out: Path
    counts: Mapping[str, int]
    seed: int
    options: SyntheticOptions
    randomize: bool
    stored: bool

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __iter__(self) -> Iterator[_Job]:
        options = self.options
        randomized = replace(
            SyntheticOptions.randomized(options.height, options.width), physics=options.physics
        )
        number = 0
        for split in SPLITS:
            chosen = randomized if self.randomize and split in _RANDOMIZED_SPLITS else options
            for _ in range(self.counts.get(split, 0)):
                seed = video_seed(self.seed, number)
                yield _Job(split, number, seed, self.out, chosen, self.stored)
                number += 1


def write_missing(
    write: Callable[[Job], object],
    jobs: Iterable[Job],
    count: int,
    is_done: Callable[[Job], bool],
    shard: Shard,
    workers: int | None,
) -> int:
    """Write the videos of a shard that are not there, and show how far it is.

    Args:
        write: writes one; see :func:`run_jobs`.
        jobs: of all videos, which are not kept.
        count: of all videos.
        is_done: whether a video is there.
        shard: which of them.
        workers: processes; None for one on each CPU.

    Returns:
        how many were written.
    """
    written = 0
    index, shards = shard
    with tqdm(total=len(range(count)[index::shards]), unit="video") as progress:

        def todo() -> Iterator[Job]:
            for job in islice(jobs, index, None, shards):
                if is_done(job):
                    progress.update()
                else:
                    yield job

        for _ in run_jobs(write, todo(), workers or count_cpus()):
            written += 1
            progress.update()
    return written


def run_jobs(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[Result]:
    """Yield what a function returns for each job, in any order.

    The workers end when this process or the generator ends, for whatever reason.

    Args:
        function: of a module, so that other processes find it.
        jobs: its arguments.
        workers: processes; with 1, or one job, this process does it all.

    Raises:
        UserError: if a worker dies, as it does for lack of memory.
    """
    remaining = iter(jobs)
    first = list(islice(remaining, min(workers, _MAX_WORKERS)))
    remaining = chain(first, remaining)
    if len(first) <= 1 or not can_have_workers():
        yield from map(function, remaining)
        return
    context = multiprocessing.get_context("spawn")
    count = len(first)
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)
    try:
        # A few more jobs than workers, so that none waits and few are lost.
        running = {pool.submit(function, job) for job in islice(remaining, 2 * count)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(function, job) for job in islice(remaining, len(done))}
            for future in done:
                yield future.result()
    except BrokenExecutor as error:
        raise UserError(
            "a worker process died, probably for lack of memory; run again with fewer --workers."
        ) from error
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """End a pool without waiting for the current jobs of its workers."""
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def _start_worker() -> None:
    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes, and so does the signal by which Slurm ends a job;
    # the main one ends the others.
    for name in ("SIGINT", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_one(job: _Job) -> None:
    video = generate_video(job.seed, job.options)
    if job.split == "hidden":
        write_video(job.folder, video.frames[:NUM_INPUT_FRAMES], stored=job.stored)
    elif job.split == "unlabeled":
        write_video(job.folder, video.frames, stored=job.stored)
    else:
        extra = {"scene.json": video.scene.to_json()}
        write_video(job.folder, video.frames, video.masks, extra, stored=job.stored)


def _write_truth(path: Path, jobs: Iterable[_Job], shape: tuple[int, int, int]) -> None:
    """Write the masks of frame 22 of hidden videos, in the order of their numbers."""
    masks = (
        render_masks(simulate(job.seed, job.options), job.options, [NUM_FRAMES - 1])[0]
        for job in tqdm(jobs, desc=path.name, total=shape[0], unit="video")
    )
    write_rows(path, shape, (mask.tobytes() for mask in masks))
