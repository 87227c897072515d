"""Every fault of a data set, in one pass."""

import shutil

import numpy as np
import pytest

from tests.conftest import make_video, write_tiny_videos
from vps_d2.data import faults, video
from vps_d2.io.errors import UserError


@pytest.fixture
def root(tmp_path):
    return write_tiny_videos(tmp_path / "vps")


def found(folder):
    return {(str(f.path.relative_to(folder)), f.reason) for f in faults.check_dataset(folder)[1]}


def test_a_good_data_set_has_none(tiny_videos):
    assert faults.check_dataset(tiny_videos) == (8, [])
    assert faults.check_dataset(tiny_videos / "hidden") == (2, [])


def test_all_faults_are_found_in_one_pass(root):
    train, val = root / "train", root / "val"
    video.frame_path(train / "video_00000", 5).unlink()
    frames, masks = make_video(0)
    video.encode_frame(frames[0]).tofile(train / "video_00000" / "image_22.png")
    video.frame_path(train / "video_00001", 3).write_bytes(b"junk")
    np.save(train / "video_00001" / "mask.npy", masks[:18])
    shutil.copytree(val / "video_00002", val / "video_2")
    np.save(val / "video_00003" / "mask.npy", masks.astype(np.int32))
    video.encode_frame(frames[0, :16]).tofile(video.frame_path(val / "video_00003", 21))
    path = video.frame_path(root / "unlabeled" / "video_00004", 0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(8) + content[len(content) // 2 + 8 :])
    video.frame_path(root / "hidden" / "video_00007", 10).unlink()
    two = "two folders for video 2 (video_00002 and video_2)"
    sizes = "frames of different sizes (this one is 48x16, others are 48x32)"
    assert found(root) == {
        ("train/video_00000/image_5.png", "missing frame"),
        ("train/video_00000/image_22.png", "extra frame"),
        ("train/video_00001/image_3.png", "unreadable PNG"),
        ("train/video_00001/mask.npy", "mask of 18 frames, not 22"),
        ("val/video_00002", two),
        ("val/video_2", two),
        ("val/video_00003/mask.npy", "mask of the wrong dtype (int32, not uint8)"),
        ("val/video_00003/image_21.png", sizes),
        ("unlabeled/video_00004/image_0.png", "unreadable PNG"),
        ("hidden/video_00007/image_10.png", "missing frame"),
    }
    good, _ = faults.check_dataset(root)
    assert good == 2


def test_faults_of_masks(root):
    _, masks = make_video(0)
    masks[0, 0, 0] = 49
    np.save(root / "train" / "video_00000" / "mask.npy", masks)
    np.save(root / "train" / "video_00001" / "mask.npy", masks[:, :16])
    np.save(root / "val" / "video_00002" / "mask.npy", masks[0])
    (root / "val" / "video_00003" / "mask.npy").unlink()
    assert found(root) == {
        ("train/video_00000/mask.npy", "mask with class number 49, the highest is 48"),
        ("train/video_00001/mask.npy", "mask of the wrong shape (mask of 48x16, frames of 48x32)"),
        ("val/video_00002/mask.npy", "mask of the wrong shape (32, 48)"),
        ("val/video_00003/mask.npy", "missing mask"),
    }


def test_a_video_of_another_size_is_a_fault(root):
    frames, _ = make_video(8)
    video.write_video(root / "unlabeled" / "video_00004", frames[:, :16])
    video.write_video(root / "unlabeled" / "video_00008", frames)
    assert [path for path, _ in found(root)] == ["unlabeled/video_00004"]


def test_hidden_videos_may_be_longer(root):
    frames, _ = make_video(6)
    video.write_video(root / "hidden" / "video_00006", frames)
    assert faults.check_dataset(root)[1] == []


def test_empty_and_absent_folders(tmp_path):
    assert faults.check_dataset(tmp_path)[1][0].reason == "no video in it"
    assert faults.check_dataset(tmp_path / "absent")[1][0].reason == "not a folder"
    (tmp_path / "train").mkdir()
    assert faults.check_dataset(tmp_path)[1][0].path == tmp_path / "train"


def test_stop_or_log():
    some = [faults.Fault(faults.Path(f"v/{i}"), "missing frame") for i in range(12)]
    with pytest.raises(UserError, match=r"12 faults: v/0: .*and 2 more; put this .*SKIP_FAULTY"):
        faults.stop_or_log("vps_train", some, 3, False, print)
    with pytest.raises(UserError, match=r"put this right \([^)]*\)\.$"):
        faults.stop_or_log("vps_train", some, 0, True, print)
    lines: list[str] = []
    faults.stop_or_log("vps_train", some, 3, True, lines.append)
    assert lines[0] == "left out of vps_train: v/0: missing frame" and len(lines) == 12
    faults.stop_or_log("vps_train", [], 3, False, lines.append)
