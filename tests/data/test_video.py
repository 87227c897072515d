"""Reading and writing videos."""

import os
import pickle
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

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


def test_stored_frames_are_the_same_ones(tmp_path):
    frames, masks = make_video(3)
    video.write_video(tmp_path / "video_3", frames, masks, stored=True)
    path = video.frame_path(tmp_path / "video_3", 2)
    assert np.array_equal(video.read_frame(path), frames[2])
    assert video.check_frame(path) == frames.shape[1:3] and path.stat().st_size > frames[2].size


def test_write_replaces_a_video(tmp_path):
    frames, masks = make_video(0)
    video.write_video(tmp_path / "video_1", frames, masks)
    video.write_video(tmp_path / "video_1", frames[:11])
    assert video.frame_indices(tmp_path / "video_1") == list(range(11))
    assert [path.name for path in tmp_path.iterdir()] == ["video_1"]


def test_write_leaves_no_part_of_a_video(tmp_path):
    frames, masks = make_video(0)
    with pytest.raises(TypeError):
        video.write_video(tmp_path / "video_1", frames, masks, {"scene.json": object()})
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("content", [b"", b"junk", "cut", "damaged"])
def test_damaged_frames_are_named(tmp_path, content):
    frames, _ = make_video(0)
    video.write_video(tmp_path / "video_0", frames[:2])
    path = video.frame_path(tmp_path / "video_0", 1)
    whole = path.read_bytes()
    middle = len(whole) // 2
    if content == "cut":
        content = whole[:middle]
    if content == "damaged":
        content = whole[:middle] + bytes(8) + whole[middle + 8 :]
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: unreadable PNG"):
        video.read_frames(tmp_path / "video_0", [0, 1])
    if len(content) != len(whole):
        with pytest.raises(UserError, match=f"{path}: unreadable PNG"):
            video.read_frame_size(path)


@pytest.mark.parametrize("name", ["JPEG", "GIF", "BMP", "TIFF", "WebP"])
def test_other_pictures_with_the_name_of_a_png_are_called_what_they_are(name, tmp_path):
    path = tmp_path / "image_0.png"
    Image.fromarray(make_video(0)[0][0]).save(path, name)
    for read in (video.read_frame, video.read_frame_size):
        with pytest.raises(
            UserError,
            match=rf"0\.png: a {name} with a name that ends with \.png; convert it to a PNG",
        ):
            read(path)


@pytest.mark.parametrize("orientation", range(9))
def test_a_picture_that_viewers_turn_is_a_fault(orientation, tmp_path):
    path, picture = tmp_path / "image_0.png", make_video(0)[0][0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0131] = "a camera"
    Image.fromarray(picture).save(path, exif=exif)
    if orientation < 2:  # 0 is unknown
        assert np.array_equal(video.read_frame(path), picture)
        assert video.read_frame_size(path) == (32, 48)
        return
    for read in (video.read_frame, video.read_frame_size):
        with pytest.raises(UserError, match=rf"EXIF tag \(orientation {orientation}\); save it"):
            read(path)


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def make_png(width, height, *more):
    """Return a gray PNG of zeros, with more chunks before its end."""
    rows = zlib.compressobj(9)
    content = b"".join(rows.compress(bytes(width + 1)) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", content), *more, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "exif",
    [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\x05\0" + bytes(12), b"no EXIF"],
)
def test_exif_that_says_nothing_turns_nothing(exif, tmp_path):
    (tmp_path / "a.png").write_bytes(make_png(20, 16, chunk(b"eXIf", exif)))
    assert video.read_frame(tmp_path / "a.png").shape == (16, 20, 3)


def test_exif_behind_the_pixels_is_found_too(tmp_path):
    exif = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    (tmp_path / "a.png").write_bytes(make_png(20, 16, chunk(b"eXIf", exif)))
    with pytest.raises(UserError, match="orientation 6"):
        video.read_frame(tmp_path / "a.png")


BOMB = """
import resource, sys
from vps_d2.data.video import FaultError, read_frame
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for size in (None, (160, 240)):
    try:
        read_frame(sys.argv[1], size)
    except FaultError as error:
        print(error.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(os.name == "nt", reason="memory is measured as POSIX does it")
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (20_000, "picture of 20000x20000 pixels, which is too large"),
        (8_000, "frames of different sizes"),
    ],
)
def test_a_bomb_is_not_decoded(size, words, tmp_path):
    path = tmp_path / "image_0.png"
    path.write_bytes(make_png(size, size))
    code = BOMB if size == 20_000 else BOMB.replace("(None, (160, 240))", "((160, 240),)")
    command = [sys.executable, "-c", code, str(path)]
    *reasons, growth = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert all(reason.startswith(words) for reason in reasons) and reasons
    assert int(growth) < 20_000  # KiB on Linux; the picture itself has 190 MB or more


def test_a_file_with_more_than_its_picture_is_not_read_whole(tmp_path):
    path = tmp_path / "image_0.png"
    with path.open("wb") as file:
        file.write(make_png(20, 16)[:-12])
        file.truncate(10**12)  # of no size on the disk
    with pytest.raises(UserError, match="unreadable PNG"):
        video.read_frame(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_only_files_are_read(tmp_path):
    for number, make in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"))):
        folder = tmp_path / f"video_{number}"
        folder.mkdir()
        make(folder / "image_0.png")
        make(folder / "mask.npy")
        for read in (video.read_frame, video.read_frame_size):
            with pytest.raises(UserError, match=r"unreadable PNG \(not a regular file\)"):
                read(folder / "image_0.png")
        with pytest.raises(UserError, match="unreadable mask"):
            video.read_masks(folder)


def test_a_link_to_itself_is_no_video(tmp_path):
    (tmp_path / "video_1").symlink_to("video_1")
    (tmp_path / "video_2").mkdir()
    assert list(video.group_videos(tmp_path)) == [2]


@pytest.mark.parametrize("mode", ["gray", "gray16", "color16", "palette", "alpha", "bit"])
def test_pictures_of_any_depth_are_read_in_rgb(mode, tmp_path):
    path, picture = tmp_path / "image_0.png", make_video(1)[0][0]
    gray = picture[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    if mode == "gray":
        Image.fromarray(gray).save(path)
    elif mode == "gray16":
        cv2.imwrite(str(path), gray.astype(np.uint16) * 257)
    elif mode == "color16":
        cv2.imwrite(str(path), picture[..., ::-1].astype(np.uint16) * 257)
        expected = picture
    elif mode == "palette":
        Image.fromarray(gray).convert("P").save(path)
    elif mode == "alpha":
        alpha = np.arange(gray.size, dtype=np.uint8).reshape(*gray.shape, 1)
        Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(path)
        expected = picture
    else:
        Image.fromarray(gray > 130).save(path)
        expected = np.repeat(255 * (gray > 130).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(video.read_frame(path), expected)
    assert video.read_frame_size(path) == (32, 48)


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
    with pytest.raises(UserError, match="without frame 22"):
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
