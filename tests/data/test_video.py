"""Reading and writing videos."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import make_video
from vps_d2.data import video
from vps_d2.io.errors import UserError


def test_write_then_read(tmp_path):
    frames, masks = make_video(1)
    video.write_video(tmp_path / "video_7", frames, masks, {"scene.json": {"seed": 1}})
    assert video.frame_indices(tmp_path / "video_7") == list(range(22))
    assert np.array_equal(video.read_frames(tmp_path / "video_7", [3, 0]), frames[[3, 0]])
    assert np.array_equal(video.read_masks(tmp_path / "video_7"), masks)
    assert np.array_equal(video.read_mask(tmp_path / "video_7" / "mask.npy", 21), masks[21])
    assert video.read_frame_size(video.frame_path(tmp_path / "video_7", 0)) == (32, 48)
    assert (tmp_path / "video_7" / "scene.json").read_text() == '{"seed": 1}\n'


def test_write_replaces_a_video_and_what_an_interrupted_run_left(tmp_path):
    frames, masks = make_video(0)
    partial = tmp_path / ".video_1.partial"
    partial.mkdir()
    (partial / "image_99.png").write_bytes(b"")
    video.write_video(tmp_path / "video_1", frames, masks)
    video.write_video(tmp_path / "video_1", frames[:11])
    assert video.frame_indices(tmp_path / "video_1") == list(range(11))
    assert [path.name for path in tmp_path.iterdir()] == ["video_1"]


def test_write_leaves_no_part_of_a_video(tmp_path):
    frames, masks = make_video(0)
    with pytest.raises(TypeError):
        video.write_video(tmp_path / "video_1", frames, masks, {"scene.json": object()})
    assert video.group_videos(tmp_path) == {}


def test_find_videos_knows_both_spellings_and_orders_by_number(tmp_path):
    for name in ("video_10", "video_00002", "video_x", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "video_3").write_text("a file, not a folder")
    assert [path.name for path in video.find_videos(tmp_path)] == ["video_00002", "video_10"]
    (tmp_path / "video_2").mkdir()
    with pytest.raises(UserError, match="two folders for video 2"):
        video.find_videos(tmp_path)


@pytest.mark.parametrize("root, words", [("absent", "not a folder"), ("", "no video in it")])
def test_find_videos_names_a_useless_root(tmp_path, root, words):
    with pytest.raises(UserError, match=f"{tmp_path / root}: {words}"):
        video.find_videos(tmp_path / root)


def test_video_number():
    assert video.video_number("a/video_7") == video.video_number("video_00007") == 7
    with pytest.raises(UserError, match="clip_7"):
        video.video_number("clip_7")


@pytest.mark.parametrize("content", [b"", b"junk", "cut", "spoiled"])
def test_spoiled_frames_are_named(tmp_path, content):
    frames, _ = make_video(0)
    video.write_video(tmp_path / "video_0", frames[:2])
    path = video.frame_path(tmp_path / "video_0", 1)
    whole = path.read_bytes()
    middle = len(whole) // 2
    if content == "cut":
        content = whole[:middle]
    if content == "spoiled":
        content = whole[:middle] + bytes(8) + whole[middle + 8 :]
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: unreadable PNG"):
        video.read_frames(tmp_path / "video_0", [0, 1])
    if len(content) != len(whole):
        with pytest.raises(UserError, match=f"{path}: unreadable PNG"):
            video.read_frame_size(path)


def test_missing_frame_and_frames_of_different_sizes(tmp_path):
    frames, _ = make_video(0)
    video.write_video(tmp_path / "video_0", frames[:2])
    with pytest.raises(UserError, match=r"image_2\.png: missing frame"):
        video.read_frames(tmp_path / "video_0", range(3))
    video.encode_frame(frames[0, :16]).tofile(tmp_path / "video_0" / "image_1.png")
    with pytest.raises(UserError, match=r"different sizes \(this one is 48x16, others are 48x32"):
        video.read_frames(tmp_path / "video_0", range(2))
    with pytest.raises(UserError, match="no frame"):
        video.read_frames(tmp_path / "video_0", [])


@pytest.mark.parametrize(
    "masks, words",
    [
        (np.zeros((0, 4, 4), np.uint8), "wrong shape"),
        (np.zeros((4, 4), np.uint8), "wrong shape"),
        (np.zeros((22, 4, 4), np.int64), "wrong dtype"),
        (np.full((22, 4, 4), 49, np.uint8), "class number 49"),
        (np.array([None]), "unreadable mask"),
        (None, "missing mask"),
    ],
)
def test_faulty_masks_are_named(tmp_path, masks, words):
    if masks is not None:
        np.save(tmp_path / "mask.npy", masks)
    with pytest.raises(UserError, match=words):
        video.read_masks(tmp_path, 49)


def test_read_mask_checks_the_index(tmp_path):
    np.save(tmp_path / "mask.npy", np.zeros((18, 4, 4), np.uint8))
    with pytest.raises(UserError, match="frame 22 is missing"):
        video.read_mask(tmp_path / "mask.npy", 21)
    with pytest.raises(UserError, match="wrong shape"):
        video.read_mask(tmp_path / "mask.npy")


@pytest.mark.parametrize(
    "frames, masks",
    [
        (np.zeros((2, 4, 4, 3), np.float32), None),
        (np.zeros((2, 4, 4), np.uint8), None),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 5, 4), np.uint8)),
        (np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4), 255, np.uint8)),
    ],
)
def test_write_refuses_what_is_no_video(tmp_path, frames, masks):
    with pytest.raises(UserError, match="video_0"):
        video.write_video(tmp_path / "video_0", frames, masks)
    assert list(tmp_path.iterdir()) == []


def test_faults_survive_pickling():
    fault = pickle.loads(pickle.dumps(video.FaultError("a/b.png", "missing frame", "fill it in")))
    assert str(fault) == "a/b.png: missing frame; fill it in."


def test_reading_videos_needs_no_torch():
    code = "import sys, vps_d2.data.video; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
