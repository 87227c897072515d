"""Folders of very many videos: what is opened before the work, and what is held."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vps_d2.data import folder
from vps_d2.data.folder import VideoFolder
from vps_d2.data.video import read_frame_size, read_frames, write_video
from vps_d2.io.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(4):
        write_video(tmp_path / f"video_{number}", np.zeros((22, 16, 24, 3), np.uint8))
    return tmp_path


def first(path: Path) -> np.ndarray:
    return read_frames(path, [0])


def test_only_the_first_videos_are_checked_before_their_turn(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "video_2" / "image_21.png").unlink()
    monkeypatch.setattr(folder, "CHECKED", 2)
    videos = VideoFolder(root, "unlabeled")
    videos.check_first(videos.names)
    assert videos.names == [f"video_{number}" for number in range(4)] and videos.size == (16, 24)
    assert videos.read("video_1", first)[0] is not None
    with pytest.raises(UserError, match=r"has 1 fault: .*video_2/image_21\.png.*--skip-faulty"):
        videos.read("video_2", first)
    with pytest.raises(UserError, match=r"image_21\.png: missing frame"):
        videos.check_first(videos.names[2:])
    skipping = VideoFolder(root, "unlabeled", skip_faulty=True)
    skipping.check_first(videos.names)
    frames, faults = skipping.read("video_2", first)
    assert frames is None and [fault.path.name for fault in faults] == ["image_21.png"]


def test_sizes_and_numbers_that_do_not_fit_are_faults_of_a_video(root: Path) -> None:
    write_video(root / "video_4", np.zeros((22, 16, 32, 3), np.uint8))
    write_video(root / "video_03", np.zeros((22, 16, 24, 3), np.uint8))
    videos = VideoFolder(root, "unlabeled", skip_faulty=True)
    assert len(videos.names) == 5
    reasons = [str(videos.read(name, first)[1]) for name in videos.names]
    assert reasons[:3] == ["[]"] * 3
    assert "two folders for video 3 (video_03 and video_3)" in reasons[3]
    assert "this one is 32x16, others are 24x16" in reasons[4]


def test_nothing_but_damaged_videos(root: Path) -> None:
    for path in root.glob("*/image_0.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"4 faults: .*correct the data[^,]*\.$"):
        VideoFolder(root, "unlabeled", skip_faulty=True)


def test_names_alone_are_held(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def count(path: Path) -> tuple[int, int]:
        opened.append(path)
        return read_frame_size(path)

    many = root / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"video_{number:06d}").symlink_to(root / "video_0", target_is_directory=True)
    monkeypatch.setattr(folder, "read_frame_size", count)
    tracemalloc.start()
    videos = VideoFolder(many, "unlabeled")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(videos.names) == 3000 and len(opened) == folder.CHECKED
    assert held < 100_000 + 150 * len(videos.names)
