"""A tiny made-up data set that all tests share."""

import logging
import os
import sys
from functools import partial
from pathlib import Path

# The models of tests are so small that threads would cost more than they bring; it holds for the
# processes that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from vps_d2.data.video import write_video
from vps_d2.data.vps import NUM_FRAMES, NUM_INPUT_FRAMES

HEIGHT, WIDTH = 32, 48
SPLITS = ("train", "val", "unlabeled", "hidden")
# They wait or work longest. They start first, so that no process has to wait for them at the end.
LONGEST = (
    "cluster/test_slurm.py",
    "web/test_page.py",
    "hostile/test_kills.py",
    "test_own_data.py",
    "test_installed.py",
    "web/test_page_access.py",
    "cli/test_train.py",
    "engine/test_processes.py",
    "engine/test_whole_batch.py",
    "test_manual.py",
    "hostile/test_files.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order of the files, not that of their sizes."""
    config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Let another process work while one waits for Slurm or for a browser."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first."""
    order = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def make_video(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames ``(22, 32, 48, 3)`` and masks of one or two squares that slide sideways.

    Video 0 of every split has one object, video 1 two.
    """
    rng = np.random.default_rng(number)
    frames = np.full((NUM_FRAMES, HEIGHT, WIDTH, 3), 120, np.uint8)
    frames += rng.integers(0, 8, frames.shape, dtype=np.uint8)
    masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
    for number_of_object in range(1 + number % 2):
        class_id = 1 + (7 * number + 13 * number_of_object) % 48
        top = 4 + 14 * number_of_object
        for index in range(NUM_FRAMES):
            rows, columns = slice(top, top + 10), slice(2 + index, 14 + index)
            frames[index, rows, columns] = (5 * class_id, 250 - 5 * class_id, 60)
            masks[index, rows, columns] = class_id
    return frames, masks


def write_tiny_videos(root: Path) -> Path:
    """Write the data set of :func:`tiny_videos` to ``root``, for a test that changes it."""
    truth = []
    for number in range(2 * len(SPLITS)):
        split = SPLITS[number // 2]
        frames, masks = make_video(number)
        folder = root / split / f"video_{number:05d}"
        if split == "hidden":
            write_video(folder, frames[:NUM_INPUT_FRAMES])
            truth.append(masks[-1])
        else:
            write_video(folder, frames, None if split == "unlabeled" else masks)
    np.save(root / "hidden_truth.npy", np.stack(truth))
    return root


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with train, val, unlabeled and hidden: two 32x48 videos each; do not change it.

    Videos are numbered on across the splits (train 0-1, val 2-3, unlabeled 4-5, hidden 6-7).
    """
    return write_tiny_videos(tmp_path_factory.mktemp("tiny_videos"))


@pytest.fixture
def forked_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``launch`` fork its processes where that is safe; new ones import all for seconds."""
    if sys.platform == "linux":
        fork = partial(torch.multiprocessing.start_processes, start_method="fork")
        monkeypatch.setattr(torch.multiprocessing, "spawn", fork)


@pytest.fixture(autouse=True)
def _heard_loggers() -> None:
    """Let ``caplog`` hear every logger, also after a test has set up the log of a run."""
    for name in ("vps_d2", "detectron2", "fvcore"):
        logging.getLogger(name).propagate = True
