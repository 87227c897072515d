"""Measurements of runs over many videos, on few."""

from pathlib import Path

import pytest

from vps_d2.data.video import find_videos, frame_path, video_names
from vps_d2.evaluation import scale_benchmark
from vps_d2.evaluation.scale_benchmark import link_videos, time_formats
from vps_d2.io.errors import UserError


def test_formats_hold_the_same_frames(tiny_videos: Path) -> None:
    folders = find_videos(tiny_videos / "train")
    figures = {each.name: each for each in time_formats(folders, num_videos=3, repeats=1)}
    assert all(each.value > 0 for each in figures.values())
    assert figures["folders, files"].value == 22 and figures["mp4, files"].value == 1
    assert figures["tar, files"].value == pytest.approx(1 / 3)
    assert figures["tar, size"].value > figures["folders, size"].value


def test_a_folder_of_links_has_any_number_of_videos(tiny_videos: Path, tmp_path: Path) -> None:
    folders = find_videos(tiny_videos / "train")
    link_videos(tmp_path / "many", folders, 30)
    assert len(video_names(tmp_path / "many")) == 30
    assert frame_path(tmp_path / "many" / "video_000029", 0).is_file()


def test_a_process_is_measured_up_to_its_first_result(tmp_path: Path) -> None:
    splits = ["--train", "100", "--val", "0", "--unlabeled", "0", "--hidden", "0"]
    command = ["make-synthetic", "--out", str(tmp_path / "out"), *splits, "--workers", "1"]
    seconds, memory = scale_benchmark._run_to_first(command, tmp_path / "out", "train/*/mask.npy")
    assert seconds > 0.1 and memory > 20
    assert 0 < len(list((tmp_path / "out" / "train").glob("video_*"))) < 100  # it was stopped
    with pytest.raises(UserError, match="vps-d2 nonsense has ended without a result"):
        scale_benchmark._run_to_first(["nonsense"], tmp_path, "*/mask.npy")
