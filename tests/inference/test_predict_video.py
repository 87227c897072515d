from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.predict_video import VideoPredictor, is_video, sample_frames
from vps_d2.io.errors import UserError
from vps_d2.io.video import VideoSource, open_video
from vps_d2.io.video_writing import MaskWriter

SIZE = (32, 48)


def make_video(path: Path, times: list[Fraction]) -> VideoSource:
    """Write gray frames that tell their index, with a red square, which the stub calls object 1."""
    with MaskWriter(path, *SIZE, Fraction(25)) as writer:
        for index, time in enumerate(times):
            frame = np.full((*SIZE, 3), index, np.uint8)
            frame[4:12, 6:20, 0] = 200
            writer.write(frame, time)
    return open_video(path)


def steps(count: int, rate: int = 25) -> list[Fraction]:
    return [Fraction(index, rate) for index in range(count)]


@pytest.fixture
def pipeline(tmp_path: Path) -> FutureMaskPredictor:
    folder = tmp_path / "pipeline"
    folder.mkdir()
    return FutureMaskPredictor.from_config_file(write_pipeline(folder))


def test_frames_are_taken_at_a_rate_by_their_times(tmp_path: Path) -> None:
    times = [Fraction(t, 100) for t in (50, 54, 58, 90, 94)]
    source = make_video(tmp_path / "a.mkv", times)
    taken = [(float(t), int(f[0, 0, 1])) for t, f in sample_frames(source, Fraction(10))]
    assert taken == [(0.5, 0), (0.6, 2), (0.7, 2), (0.8, 2), (0.9, 3)]
    assert [t for t, _ in sample_frames(source, None)] == times


def test_the_last_frames_are_predicted_from(tmp_path: Path, pipeline: FutureMaskPredictor) -> None:
    source = make_video(tmp_path / "a.mkv", steps(20))
    frames = list(VideoPredictor(pipeline)(source))
    assert [frame.time for frame in frames] == [Fraction(20 + k, 25) for k in range(11)]
    # The stub repeats the last frame, a little brighter each time.
    assert [int(frame.picture[0, 0, 1]) for frame in frames] == list(range(20, 31))
    assert all((frame.mask[4:12, 6:20] == 1).all() and frame.mask[0, 0] == 0 for frame in frames)
    slow = list(
        VideoPredictor(pipeline, rate=Fraction(25, 2))(make_video(tmp_path / "b.mkv", steps(30)))
    )
    assert [frame.time for frame in slow] == [Fraction(30 + 2 * k, 25) for k in range(11)]


def test_sliding_predicts_each_time_from_the_last_window(
    tmp_path: Path, pipeline: FutureMaskPredictor
) -> None:
    source = make_video(tmp_path / "a.mkv", steps(20))
    frames = list(VideoPredictor(pipeline, every=4)(source))
    # Windows end with the frames 10, 14 and 18.
    assert [frame.time for frame in frames] == [Fraction(k, 25) for k in range(11, 30)]
    assert [frame.caption for frame in frames[:5]] == [*(f"{k} ahead" for k in (1, 2, 3, 4, 1))]
    assert frames[-1].caption == "11 ahead"


def test_frames_are_scaled_for_the_models_and_back(
    tmp_path: Path, pipeline: FutureMaskPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / "a.mkv", steps(11))
    seen: list[tuple[int, ...]] = []
    predict = pipeline._predict

    def spy(frames: np.ndarray, *rest: Any) -> Any:
        seen.append(frames.shape)
        return predict(frames, *rest)

    monkeypatch.setattr(pipeline, "_predict", spy)
    frames = list(VideoPredictor(pipeline, short_side=16)(source))
    assert seen == [(1, 11, 16, 24, 3)]
    assert all(frame.picture.shape == (*SIZE, 3) and frame.mask.shape == SIZE for frame in frames)
    with pytest.raises(UserError, match="with 12 x 8 pixels, but need 16"):
        list(VideoPredictor(pipeline, short_side=8)(source))


def test_the_command_writes_a_film_and_a_mask_beside_the_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_video(tmp_path / "clip.mkv", steps(12))
    (tmp_path / "config").mkdir()
    arguments = ["--config-file", str(write_pipeline(tmp_path / "config"))]
    load_tool("infer_hidden").main([str(tmp_path / "clip.mkv"), *arguments, "MODEL.DEVICE", "cpu"])
    film = open_video(tmp_path / "clip.prediction.mp4")
    assert [frame.time for frame in film.frames()] == steps(11)
    with Image.open(tmp_path / "clip.prediction.png") as image:
        mask = np.array(image)
        assert image.mode == "P" and mask.shape == SIZE and set(np.unique(mask)) == {0, 1}
    assert "11 predicted frames and their masks, for 0.48 to 0.88 s" in capsys.readouterr().out

    folder = tmp_path / "pictures"
    folder.mkdir()
    for frame in open_video(tmp_path / "clip.mkv").frames():
        Image.fromarray(frame.picture).save(folder / f"{frame.index}.png")
    output = ["--output", str(tmp_path / "film.mp4"), "--every", "3"]
    load_tool("infer_hidden").main(["--input", str(folder), *arguments, *output])
    assert open_video(tmp_path / "film.mp4").num_frames == 11
    assert (tmp_path / "film.png").exists()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("has 10 frames, but the pipeline predicts from 11; give a longer video", []),
        ("has 2 frames at 3 frames per second, .* or a higher --rate", ["--rate", "3"]),
        ("--resume is for a folder of videos", ["--resume"]),
        ("is an input and would be overwritten", ["--output", "{video}"]),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence(
    words: str, options: list[str], tmp_path: Path
) -> None:
    make_video(tmp_path / "a.mkv", steps(10))
    arguments = [str(tmp_path / "a.mkv"), "--config-file", str(write_pipeline(tmp_path))]
    options = [option.format(video=tmp_path / "a.mkv") for option in options]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=words):
        load_tool("infer_hidden").main([*arguments, *options])
    assert sorted(tmp_path.iterdir()) == before


def test_videos_and_folders_of_videos_are_told_apart(tmp_path: Path) -> None:
    assert not is_video(tmp_path) and not is_video(tmp_path / "missing.mp4")
    (tmp_path / "0.png").touch()
    assert is_video(tmp_path) and is_video(tmp_path / "0.png")
    (tmp_path / "video_00001").mkdir()
    assert not is_video(tmp_path)
    main = load_tool("infer_hidden").main
    with pytest.raises(UserError, match="is neither a video nor a folder of pictures"):
        main([str(tmp_path)])
    with pytest.raises(UserError, match="--sliding and --short-side are for one video"):
        main([str(tmp_path), "--output", "x", "--sliding"])


@pytest.mark.parametrize("rate", ["0", "-1", "a", "1/0", "inf"])
def test_a_wrong_rate_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_tool("infer_hidden").main(["a.mp4", f"--rate={rate}"])
    assert "is not a rate up to 1000" in capsys.readouterr().err
