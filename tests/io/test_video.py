import builtins
import os
import resource
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.io.video_writing import MaskWriter, VideoWriter

RATE = Fraction(30_000, 1001)


def ramp(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Return smooth pictures of which no two are alike."""
    rows, columns = np.mgrid[:height, :width]
    return [
        np.stack([rows * 3 + 9 * k, columns * 2 + 5 * k, rows + columns + 7 * k], -1).astype("u1")
        for k in range(count)
    ]


def encode(
    path: Path,
    count: int = 12,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: list[int] | None = None,
    **options: str,
) -> Path:
    """Write a small video with a keyframe every 4 frames, with B-frames between them."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, pixels
        stream.codec_context.gop_size = 4
        stream.options = options
        for index, picture in enumerate(ramp(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[index] if times else index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def same(one: Any, other: Any) -> bool:
    return bool(
        one.index == other.index
        and one.time == other.time
        and np.array_equal(one.picture, other.picture)
    )


@pytest.mark.parametrize(
    ("ending", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv444p"),
        ("mp4", "libx264", "yuv420p10le"),
        ("ts", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("webm", "libvpx", "yuv420p"),
        ("mp4", "libsvtav1", "yuv420p"),
        ("gif", "gif", "rgb8"),
    ],
)
def test_each_frame_is_read_alone_as_in_the_film(
    ending: str, codec: str, pixels: str, tmp_path: Path
) -> None:
    source = open_video(encode(tmp_path / f"a.{ending}", codec=codec, pixels=pixels))
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(12)) == list(range(source.num_frames))
    assert np.diff([float(frame.time) for frame in frames]) == pytest.approx(0.04, abs=2e-3)
    for picture, frame in zip(ramp(12), frames, strict=True):
        assert np.abs(picture.astype(int) - frame.picture).mean() < (60 if pixels == "rgb8" else 25)
    alone = open_video(source.path)
    for index in (11, 3, 4, 0, 5, 7):
        assert same(alone.read(index), frames[index])
    part = list(open_video(source.path).frames(5, 11, 2))
    assert [frame.index for frame in part] == [5, 7, 9]
    assert all(same(frame, frames[frame.index]) for frame in part)
    assert source.losses == alone.losses == ""
    assert (source.height, source.width, source.name) == (32, 48, "a")


def test_a_variable_rate_and_a_late_start_keep_their_times(tmp_path: Path) -> None:
    times = [50, 51, 53, 57, 58, 70, 71, 90]
    source = open_video(encode(tmp_path / "a.mp4", 8, times=times))
    assert [frame.time for frame in source.frames()] == [Fraction(time, 25) for time in times]
    assert source.read(5).time == Fraction(70, 25)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), np.fliplr),
    ],
)
def test_the_display_matrix_turns_the_picture(
    matrix: tuple[int, ...], turn: Any, tmp_path: Path
) -> None:
    path = encode(tmp_path / "a.mp4")
    stored = open_video(path).read(3).picture
    data = path.read_bytes()
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 2**30)
    place = data.index(identity, data.index(b"tkhd"))
    a, b, c, d = (65536 * value for value in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data[:place] + turned + data[place + len(turned) :])
    source = open_video(path)
    assert np.array_equal(source.read(3).picture, turn(stored))
    assert (source.height, source.width) == turn(stored).shape[:2]


def test_of_a_damaged_file_the_rest_is_read_and_the_loss_is_said(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 16)
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size, p.pts) for p in file.demux(video=0) if p.size]
        unit = file.streams.video[0].time_base
    data = bytearray(path.read_bytes())
    position, size, _ = next(p for p in packets if p[2] * unit == Fraction(8, 25))
    data[position : position + size] = b"\xff" * size  # a keyframe
    path.write_bytes(data)
    source = open_video(path)
    frames = list(source.frames())
    assert source.num_frames == 16 and 10 < len(frames) < 16
    assert all(frame.time == Fraction(frame.index, 25) for frame in frames)
    assert "is damaged" in source.losses and "\n" not in source.losses
    for frame in frames:
        assert same(open_video(path).read(frame.index), frame)
    with pytest.raises(UserError, match=r"frame index 8 of .* cannot be read"):
        source.read(8)


def test_the_end_that_was_cut_off_is_counted(tmp_path: Path) -> None:
    path, whole = encode(tmp_path / "a.mp4", 16), tmp_path / "b.mp4"
    index_first = {"movflags": "+faststart"}
    with av.open(str(path)) as file, av.open(str(whole), "w", options=index_first) as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = whole.read_bytes()
    begin = data.index(b"mdat")
    whole.write_bytes(data[: begin + (len(data) - begin) * 3 // 4])
    source = open_video(whole)
    frames = list(source.frames())
    count = len(frames)
    assert 0 < count < 16 and source.num_frames == count
    assert source.losses == f"{whole} is damaged: {16 - count} of its frames cannot be read."


def test_one_frame_and_odd_sizes(tmp_path: Path) -> None:
    picture = ramp(1, 31, 17)[0]
    with MaskWriter(tmp_path / "a.mkv", 31, 17, RATE) as writer:
        writer.write(picture, Fraction(0))
    source = open_video(tmp_path / "a.mkv")
    (frame,) = source.frames()
    assert np.array_equal(frame.picture, picture) and source.num_frames == 1
    with pytest.raises(UserError, match=r"frame index 1 is not in .*, which has 1;"):
        source.read(1)


def make_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), "f4"), "fltp", "mono")
        frame.rate, frame.pts = 8000, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, r"cannot be opened \(no such file"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(b"no video\n" * 200), "is not a video"),
        (make_sound, "has no video stream"),
        (os.mkfifo, "is a device, a pipe"),
        (lambda path: path.symlink_to(path), "cannot be opened"),
        (lambda path: path.mkdir(), "has no pictures"),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), "not a video"),
    ],
)
def test_what_is_no_video_is_a_sentence(make: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(UserError, match=words) as caught:
        open_video(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_giant_frame_takes_no_memory(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = (
        header + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 9) + b"IDAT" + b"x" * 99
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data)
    (tmp_path / "folder").mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError):
        open_video(tmp_path / "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB
    (tmp_path / "folder" / "a.ppm").write_bytes(b"P6 100000 100000 255\n" + b"\0" * 100)
    with pytest.raises(UserError, match=r"a.ppm has more than the 67,108,864 pixels"):
        open_video(tmp_path / "folder")
    (tmp_path / "folder" / "a.ppm").write_bytes(b"P6 9000 8000 255\n" + b"\0" * 100)
    with pytest.raises(UserError, match="9000 x 8000 pixels, but only sizes up to"):
        open_video(tmp_path / "folder")


def test_a_folder_of_pictures_is_sorted_by_number(tmp_path: Path) -> None:
    pictures = ramp(11)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"frame{index}.png")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_video(tmp_path, rate=Fraction(5))
    frames = list(source.frames())
    assert [frame.time for frame in frames] == [Fraction(index, 5) for index in range(11)]
    assert all(np.array_equal(a, b.picture) for a, b in zip(pictures, frames, strict=True))
    assert same(source.read(10), frames[10]) and source.num_frames == 11
    (tmp_path / "frame3.png").write_bytes(b"damaged")
    source = open_video(tmp_path)
    assert [frame.index for frame in source.frames()] == [0, 1, 2, *range(4, 11)]
    assert source.losses == f"{tmp_path} is damaged: 1 of its frames cannot be read."
    Image.fromarray(pictures[0][:5]).save(tmp_path / "frame7.png")
    with pytest.raises(UserError, match=r"frame7.png has 48 x 5 pixels, but frame0.png beside it"):
        open_video(tmp_path)


def test_pictures_of_16_bits_and_turned_ones(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 20, dtype=np.uint16).reshape(4, 5)
    Image.fromarray(deep).save(tmp_path / "a.png")
    turned = Image.fromarray(ramp(1, 5, 4)[0])
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.png", exif=exif)
    source = open_video(tmp_path)
    assert np.array_equal(source.read(0).picture[..., 0], deep // 256)
    assert np.array_equal(source.read(1).picture, np.rot90(ramp(1, 5, 4)[0], -1))


def test_opencv_reads_where_there_is_no_pyav(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.mp4")
    frames = list(open_video(path).frames())
    real = builtins.__import__

    def without_av(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    monkeypatch.setattr("vps_d2.io.video.importlib.util.find_spec", lambda name: None)
    source = open_video(path)
    assert type(source).__name__ == "OpenCVSource" and source.num_frames is None
    others = list(source.frames())
    assert [frame.index for frame in others] == list(range(12))
    for one, other in zip(frames, others, strict=True):
        assert float(one.time) == pytest.approx(float(other.time), abs=1e-4)
        assert np.abs(one.picture.astype(int) - other.picture).mean() < 3
    assert same(source.read(7), others[7])
    with pytest.raises(UserError, match="frame index 12 of"):
        source.read(12)
    with (
        pytest.raises(UserError, match="PyAV writes videos, and is missing"),
        VideoWriter(tmp_path / "b.mp4", 32, 48, RATE) as _,
    ):
        pass
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_opencv_says_what_it_cannot_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.mp4")
    # As its builds without AV1 do: the file opens, and has no frames.
    monkeypatch.setattr("cv2.VideoCapture", SilentCapture)
    with pytest.raises(UserError, match="a codec that OpenCV lacks; install PyAV"):
        open_video(path, reader="opencv")


class SilentCapture:
    def __init__(self, *args: Any) -> None:
        self.release = lambda: None

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, key: int) -> float:
        return 48.0

    def read(self) -> tuple[bool, None]:
        return False, None


def test_the_module_imports_no_decoder() -> None:
    code = "import sys, vps_d2.io.video; sys.exit('av' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("bad", [(-1, None, 1), (3, 2, 1), (0, None, 0)])
def test_a_range_that_is_none_is_a_sentence(bad: Any, tmp_path: Path) -> None:
    Image.fromarray(ramp(1)[0]).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="are no range of"):
        open_video(tmp_path).frames(*bad)
