import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.io.test_files import file_size_limit
from tests.io.test_video import RATE, ramp
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import write_palette_png
from vps_d2.io.video import open_video
from vps_d2.io.video_writing import MaskWriter, VideoWriter

NOISE = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), dtype=np.uint8)


def make_with_sound(path: Path, codec: str, ending: str) -> Path:
    """Write a video of 1 s and a tone of 2 s."""
    path = path.with_suffix(f".{ending}")
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        sound: Any = out.add_stream(codec, rate=16_000)
        tone = np.sin(np.arange(32_000) / 8).reshape(1, -1)
        if codec == "pcm_s16le":
            frame = av.AudioFrame.from_ndarray((tone * 9999).astype("i2"), "s16", "mono")
        else:
            frame = av.AudioFrame.from_ndarray(tone.astype("f4"), "fltp", "mono")
        frame.rate, frame.pts = 16_000, 0
        for picture in ramp(25):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux([*video.encode(None), *sound.encode(frame), *sound.encode(None)])
    return path


def sound_packets(path: Path) -> tuple[str, list[tuple[float, bytes]]]:
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        packets = [p for p in file.demux(stream) if p.size]
        pairs = [(float(p.pts * p.time_base), bytes(p)) for p in packets]
        return stream.codec_context.name, pairs


def write_part(source: Any, path: Path, start: int, end: int) -> VideoWriter:
    begin = source.read(start).time
    with VideoWriter(
        path,
        source.height,
        source.width,
        source.rate,
        sound_from=source.path,
        time_base=source.time_base,
        origin=begin,
    ) as writer:
        for frame in source.frames(start, end):
            writer.write(frame.picture, frame.time)
    return writer


def test_times_and_pictures_are_kept_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    times = [Fraction(k * k + 7 * k + 9, 12_800) for k in range(40)]
    for name in ("a", "b"):
        with VideoWriter(
            tmp_path / f"{name}.mp4", 33, 47, RATE, time_base=Fraction(1, 12_800)
        ) as w:
            for picture, time in zip(ramp(40, 33, 47), times, strict=True):
                w.write(picture, time)
        assert len(w.notes) == 1 and "48 x 34 pixels, not 47 x 33" in w.notes[0]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    frames = list(open_video(tmp_path / "a.mp4").frames())
    assert [frame.time for frame in frames] == times
    for picture, frame in zip(ramp(40, 33, 47), frames, strict=True):
        assert np.abs(picture.astype(int) - frame.picture[:33, :47]).mean() < 9


def test_times_of_common_rates_are_exact_by_default(tmp_path: Path) -> None:
    for rate in (Fraction(25), RATE, Fraction(24_000, 1001), Fraction(37, 2), Fraction(997, 13)):
        with VideoWriter(tmp_path / "a.mp4", 32, 48, rate) as writer:
            for index, picture in enumerate(ramp(3)):
                writer.write(picture, index / rate)
        source = open_video(tmp_path / "a.mp4")
        assert [frame.time for frame in source.frames()] == [index / rate for index in range(3)]
        assert source.rate == rate


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_is_copied_bit_by_bit(ending: str, tmp_path: Path) -> None:
    source = open_video(make_with_sound(tmp_path / "in", "aac", ending))
    writer = write_part(source, tmp_path / "out.mp4", 0, 25)
    name, packets = sound_packets(tmp_path / "out.mp4")
    _, original = sound_packets(source.path)
    assert name == "aac" and writer.notes == []
    assert 1 <= packets[-1][0] + 0.064 < 1.1  # not the second second, in which there is no frame
    assert [data for _, data in packets] == [data for _, data in original[: len(packets)]]
    assert packets[3][0] == pytest.approx(original[3][0], abs=0.001)
    assert [f.time for f in open_video(tmp_path / "out.mp4").frames()] == [
        frame.time for frame in source.frames()
    ]


def test_of_a_part_the_sound_of_the_part_is_copied(tmp_path: Path) -> None:
    source = open_video(make_with_sound(tmp_path / "in", "aac", "mp4"))
    write_part(source, tmp_path / "out.mp4", 10, 20)
    part = open_video(tmp_path / "out.mp4")
    assert [frame.time for frame in part.frames()] == [Fraction(k, 25) for k in range(10)]
    _, packets = sound_packets(tmp_path / "out.mp4")
    _, original = sound_packets(source.path)
    found = [time for time, data in original if data == packets[1][1]]
    assert found[0] - packets[1][0] == pytest.approx(0.4, abs=1e-3)
    assert packets[-1][0] < 0.4


def test_other_sound_becomes_aac(tmp_path: Path) -> None:
    source = open_video(make_with_sound(tmp_path / "in", "pcm_s16le", "mkv"))
    write_part(source, tmp_path / "out.mp4", 0, 25)
    name, packets = sound_packets(tmp_path / "out.mp4")
    assert name == "aac" and packets[-1][0] == pytest.approx(1, abs=0.1)
    with av.open(str(tmp_path / "out.mp4")) as file:
        samples = np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)])
    tone = np.abs(np.fft.rfft(samples[4000:12_000]))
    assert tone.argmax() == pytest.approx(8000 / 8 / (2 * np.pi), abs=2)


def test_without_sound_there_is_none(tmp_path: Path) -> None:
    for picture in ramp(1):
        Image.fromarray(picture).save(tmp_path / "a.png")
    for path in (tmp_path, tmp_path / "a.png"):
        with VideoWriter(tmp_path.parent / "out.mp4", 32, 48, RATE, sound_from=path) as writer:
            writer.write(ramp(1)[0], Fraction(0))
        with av.open(str(tmp_path.parent / "out.mp4")) as file:
            assert not file.streams.audio


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (64, 48), (33, 2, 3)])
def test_masks_are_kept_to_the_bit(shape: tuple[int, ...], tmp_path: Path) -> None:
    masks = np.random.default_rng(1).integers(0, 256, (5, *shape), dtype=np.uint8)
    for name in ("a", "b"):
        with MaskWriter(tmp_path / f"{name}.mkv", *shape[:2], Fraction(25)) as writer:
            for index, mask in enumerate(masks):
                writer.write(mask, Fraction(index, 25))
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    source = open_video(tmp_path / "a.mkv")
    for mask, frame in zip(masks, source.frames(), strict=True):
        assert np.array_equal(
            frame.picture, mask if mask.ndim == 3 else mask[..., None].repeat(3, 2)
        )
        assert frame.time == Fraction(frame.index, 25)


def film(path: Path) -> None:
    with VideoWriter(path, 64, 96, RATE) as writer:
        for index, picture in enumerate([*NOISE] * 4):
            writer.write(picture, index / RATE)


def masks(path: Path) -> None:
    with MaskWriter(path, 64, 96, RATE) as writer:
        for index, picture in enumerate(NOISE):
            writer.write(picture, index / RATE)


@pytest.mark.parametrize("write", [film, masks])
def test_a_limit_leaves_the_old_file(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text("old")
    with (
        file_size_limit(50_000),
        pytest.raises(UserError, match=r"result cannot be written \(file too large\); raise"),
    ):
        write(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result"]
    write(path)
    assert open_video(path).num_frames is not None and os.listdir(tmp_path) == ["result"]


def test_an_interruption_and_no_frame_leave_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(tmp_path / "a.mp4", 32, 48, RATE) as writer,
    ):
        writer.write(ramp(1)[0], Fraction(0))
        raise KeyboardInterrupt
    with (
        pytest.raises(UserError, match="would have no frames"),
        MaskWriter(tmp_path / "a.mkv", 32, 48, RATE),
    ):
        pass
    assert os.listdir(tmp_path) == []
    with (
        pytest.raises(UserError, match="is an input and would be overwritten"),
        VideoWriter(__file__, 32, 48, RATE, sound_from=__file__),
    ):
        pass


def test_frames_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="is not after"),
        VideoWriter(tmp_path / "a.mp4", 32, 48, RATE) as writer,
    ):
        writer.write(ramp(1)[0], Fraction(1))
        writer.write(ramp(1)[0], Fraction(1))
    with (
        pytest.raises(ValueError, match="a frame is"),
        MaskWriter(tmp_path / "a.mkv", 32, 48, RATE) as other,
    ):
        other.write(np.zeros((32, 48), np.uint8), Fraction(0))
        other.write(np.zeros((31, 48), np.uint8), Fraction(1))
    assert os.listdir(tmp_path) == []


def test_a_palette_png_holds_indices_and_colors(tmp_path: Path) -> None:
    indices = np.random.default_rng(2).integers(0, 9, (12, 7), dtype=np.uint8)
    palette = np.random.default_rng(3).integers(0, 256, (9, 3), dtype=np.uint8)
    for name in ("a", "b"):
        write_palette_png(tmp_path / f"{name}.png", indices, palette)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P" and np.array_equal(np.array(image), indices)
        assert np.array_equal(np.array(image.convert("RGB")), palette[indices])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(ValueError, match="not in the palette"):
        write_palette_png(tmp_path / "c.png", indices, palette[:8])
