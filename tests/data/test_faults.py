"""Every fault of a data set, in one pass."""

import shutil
import tracemalloc

import numpy as np
import pytest

from tests.conftest import make_video, write_tiny_videos
from tests.helpers import check_dataset
from vps_d2.data import faults, video
from vps_d2.io.errors import UserError


@pytest.fixture
def root(tmp_path):
    return write_tiny_videos(tmp_path / "vps")


def found(folder):
    return {(str(f.path.relative_to(folder)), f.reason) for f in check_dataset(folder)[1]}


def test_a_good_data_set_has_none(tiny_videos):
    assert check_dataset(tiny_videos) == (8, [])
    assert check_dataset(tiny_videos / "hidden") == (2, [])


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
        (
            "train/video_00000/image_22.png",
            "extra frame (videos with another number of frames than 22 need a dataset.json)",
        ),
        ("train/video_00001/image_3.png", "unreadable PNG"),
        ("train/video_00001/mask.npy", "mask with 18 frames, not 22"),
        ("val/video_00002", two),
        ("val/video_2", two),
        ("val/video_00003/mask.npy", "mask of the wrong dtype (int32, not uint8)"),
        ("val/video_00003/image_21.png", sizes),
        ("unlabeled/video_00004/image_0.png", "unreadable PNG"),
        ("hidden/video_00007/image_10.png", "missing frame"),
    }
    good, _ = check_dataset(root)
    assert good == 2


def test_faults_of_masks(root):
    _, masks = make_video(0)
    masks[0, 0, 0] = 49
    np.save(root / "train" / "video_00000" / "mask.npy", masks)
    np.save(root / "train" / "video_00001" / "mask.npy", masks[:, :16])
    np.save(root / "val" / "video_00002" / "mask.npy", masks[0])
    (root / "val" / "video_00003" / "mask.npy").unlink()
    assert found(root) == {
        ("train/video_00000/mask.npy", "mask with class number 49, above the highest one, 48"),
        (
            "train/video_00001/mask.npy",
            "mask of the wrong shape (mask of 48x16, but frames of 48x32)",
        ),
        ("val/video_00002/mask.npy", "mask of the wrong shape (32, 48)"),
        ("val/video_00003/mask.npy", "missing mask"),
    }


def test_a_video_of_another_size_is_a_fault(root):
    frames, _ = make_video(8)
    video.write_video(root / "unlabeled" / "video_00004", frames[:, :16])
    video.write_video(root / "unlabeled" / "video_00008", frames)
    assert [path for path, _ in found(root)] == ["unlabeled/video_00004"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("frame_{:04d}.png", "frame_0001.png, frame_0002.png, frame_0003.png and 19 more"),
        ("{:03d}.png", "001.png, 002.png, 003.png and 19 more"),
        ("image_{:03d}.png", "image_001.png, image_002.png, image_003.png and 19 more"),
        ("image_{}.jpg", "image_1.jpg, image_10.jpg, image_11.jpg and 19 more"),
        ("IMAGE_{}.PNG", "IMAGE_1.PNG, IMAGE_10.PNG, IMAGE_11.PNG and 19 more"),
    ],
)
def test_frames_of_other_names_are_one_fault(name, shown, root):
    folder = root / "unlabeled" / "video_00004"
    for index in range(22):
        video.frame_path(folder, index).rename(folder / name.format(index + 1))
    faulty = check_dataset(root)[1]
    missing = [fault for fault in faulty if "missing frame" in fault.reason]
    assert len(missing) == 1 and missing[0].path == folder
    assert f", but {shown}" in missing[0].reason
    assert missing[0].reason.endswith("; frames are named image_0.png ... image_21.png")


def test_few_frames_of_other_names_are_one_fault(root):
    folder = root / "unlabeled" / "video_00004"
    for index in range(10):
        video.frame_path(folder, index).rename(folder / f"image_{index:02d}.png")
    (fault,) = check_dataset(root)[1]
    assert fault.reason.startswith(
        "10 missing frames, but image_00.png, image_01.png, image_02.png"
    )
    for index in range(10, 22):
        video.frame_path(folder, index).unlink()
    (fault,) = check_dataset(root)[1]
    assert fault.reason.startswith("22 missing frames, but image_00.png, ")


def test_one_more_picture_does_not_hide_what_is_missing(root):
    folder = root / "hidden" / "video_00006"
    shutil.copy(video.frame_path(folder, 0), folder / "preview.png")
    assert check_dataset(root)[1] == []
    for index in (3, 5):
        video.frame_path(folder, index).unlink()
    assert found(root) == {
        (f"hidden/video_00006/image_{index}.png", "missing frame") for index in (3, 5)
    }


@pytest.mark.parametrize("size", [(1, 1), (15, 64), (64, 15), (16, 16)])
def test_frames_that_are_too_small_are_a_fault(size, tmp_path):
    for number in range(2):
        video.write_video(tmp_path / f"video_{number}", np.zeros((22, *size, 3), np.uint8))
    reasons = [fault.reason for fault in check_dataset(tmp_path)[1]]
    words = f"frames of {size[1]}x{size[0]} pixels, smaller than 16x16"
    assert reasons == ([] if size == (16, 16) else [words, words])


def test_names_do_nothing_to_the_terminal(tmp_path):
    fault = faults.Fault(tmp_path / "a\nerror: \x1b[2J", "missing frame")
    assert str(fault) == f"{tmp_path}/a\\nerror: \\x1b[2J: missing frame"


def test_a_fault_says_what_to_do_about_it_where_it_is_special(root):
    path = video.frame_path(root / "train" / "video_00000", 3)
    path.write_bytes(b"\xff\xd8\xff\xe0 and so on")
    (fault,) = check_dataset(root)[1]
    assert str(fault) == f"{path}: a JPEG with a name that ends with .png (convert it to a PNG)"


def test_hidden_videos_may_be_longer(root):
    frames, _ = make_video(6)
    video.write_video(root / "hidden" / "video_00006", frames)
    assert check_dataset(root)[1] == []


def test_empty_and_absent_folders(tmp_path):
    assert check_dataset(tmp_path)[1][0].reason == "no video in it"
    assert check_dataset(tmp_path / "absent")[1][0].reason == "not a folder"
    (tmp_path / "train").mkdir()
    assert check_dataset(tmp_path)[1][0].path == tmp_path / "train"


def test_stop_or_log():
    some = [faults.Fault(faults.Path(f"v/{i}"), "missing frame") for i in range(12)]
    with pytest.raises(UserError, match=r"12 faults: v/0: .*and 2 more; correct .*SKIP_FAULTY"):
        faults.stop_or_log("vps_train", some, 3, False, print)
    with pytest.raises(UserError, match=r"correct the data \([^)]*\)\.$"):
        faults.stop_or_log("vps_train", some, 0, True, print)
    lines: list[str] = []
    faults.stop_or_log("vps_train", some, 3, True, lines.append)
    assert lines[0] == "left out of vps_train: v/0: missing frame" and len(lines) == 12
    faults.stop_or_log("vps_train", [], 3, False, lines.append)


def test_a_checker_does_not_die_of_what_it_checks(root, monkeypatch):
    """One file's trouble is one line, and the rest is checked."""
    for number, content in enumerate((b"PK\x03\x04" + bytes(90), b"\x93NUMPY\x01\x00\x64\x00(((")):
        (root / "train" / f"video_{number:05d}" / "mask.npy").write_bytes(content)
    (root / "val" / "dataset.json").write_text("[" * 100_000)
    refused = root / "unlabeled" / "video_00004"
    scan = faults.scan_video

    def scan_video(folder, *args):
        if folder == refused:
            raise PermissionError(13, "Permission denied", str(folder / "image_0.png"))
        if folder.name == "video_00005":
            raise MemoryError
        return scan(folder, *args)

    monkeypatch.setattr(faults, "scan_video", scan_video)
    assert found(root) == {
        ("train/video_00000/mask.npy", "unreadable mask"),
        ("train/video_00001/mask.npy", "unreadable mask"),
        ("unlabeled/video_00004/image_0.png", "unreadable (Permission denied)"),
        ("unlabeled/video_00005", "too large for the memory"),
        ("val/dataset.json", "is not a JSON file (it is nested too deeply); correct it"),
    }


def test_a_name_that_asks_for_many_frames_is_a_line(root):
    folder = root / "hidden" / "video_00007"
    folder.joinpath("image_0.png").rename(folder / f"image_{10**30}.png")
    lines = {reason for path, reason in found(root) if "video_00007" in path}
    assert lines == {"missing frame", f"{10**30 - 11} more missing frames"}


def test_an_empty_video_is_one_line(root):
    shutil.rmtree(root / "train" / "video_00000")
    (root / "train" / "video_00000").mkdir()
    assert ("train/video_00000", "no frame in it, of 22") in found(root)


def test_the_memory_does_not_grow_with_the_number_of_faults(tmp_path):
    for number in range(2000):
        (tmp_path / f"video_{number}").mkdir()
    count = 0

    def report(fault):
        nonlocal count
        count += 1

    tracemalloc.start()
    try:
        assert faults.check_dataset(tmp_path, report) == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2000
    assert peak < 2000 * 1000  # bytes: names, and not paths, scans and faults
