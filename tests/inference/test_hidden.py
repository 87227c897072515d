"""Inference over a folder: the same bytes however it is cut, and faults by name."""

import json
import shutil
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch

from tests.helpers import file_size_limit, output_in_memory
from tests.pipeline_stubs import write_pipeline
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.data.video import write_video
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.hidden import HiddenInference, run_fingerprint
from vps_d2.io.errors import UserError


@pytest.fixture
def pipeline(tmp_path: Path) -> FutureMaskPredictor:
    return FutureMaskPredictor.from_config_file(write_pipeline(tmp_path))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "hidden"
    for number in (2, 10, 1, 7, 4):  # in order of the number, not of the name
        frames = np.full((13, 16, 24, 3), 90, np.uint8)
        frames[:, number, :, 0] = 250
        write_video(root / f"video_{number}", frames)
    return root


def run(pipeline: FutureMaskPredictor, videos: Path, out: Path, **options: Any) -> bool:
    resume = options.pop("resume", False)
    return HiddenInference(pipeline, videos, out, **{"batch_size": 2, **options})(resume)


def test_masks_are_in_order_of_the_number(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(pipeline, videos, out, save_frames=True, num_gifs=1)
    masks = np.load(out / "hidden_masks.npy")
    assert masks.shape == (5, 16, 24) and masks.dtype == np.uint8
    assert masks[:, :, 0].argmax(1).tolist() == [1, 2, 4, 7, 10]
    names = (out / "videos.txt").read_text().split()
    assert names == ["video_1", "video_2", "video_4", "video_7", "video_10"]
    assert np.load(out / "frames" / "video_10.npy").shape == (11, 16, 24, 3)
    assert [path.name for path in (out / "gifs").iterdir()] == ["video_1.gif"]
    assert not (out / "skipped.txt").exists()


class _Interrupted:
    def __init__(self, pipeline: FutureMaskPredictor, calls: int) -> None:
        self.pipeline, self.calls = pipeline, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def __call__(self, frames: np.ndarray, **options: Any) -> Any:
        if not self.calls:
            raise KeyboardInterrupt
        self.calls -= 1
        return self.pipeline(frames, **options)


def test_resumed_and_sharded_runs_give_the_same_bytes(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    run(pipeline, videos, tmp_path / "whole")
    whole = (tmp_path / "whole" / "hidden_masks.npy").read_bytes()

    resumed = tmp_path / "resumed"
    broken: Any = _Interrupted(pipeline, 1)
    with pytest.raises(KeyboardInterrupt):
        run(broken, videos, resumed)
    assert not (resumed / "hidden_masks.npy").exists()
    rest: Any = _Interrupted(pipeline, 2)  # of three batches, one is done
    assert run(rest, videos, resumed, resume=True)
    assert (resumed / "hidden_masks.npy").read_bytes() == whole
    nothing: Any = _Interrupted(pipeline, 0)
    assert run(nothing, videos, resumed, resume=True)

    sharded = tmp_path / "sharded"
    assert not run(pipeline, videos, sharded, shard=(1, 2))
    assert run(pipeline, videos, sharded, shard=(0, 2))
    assert (sharded / "hidden_masks.npy").read_bytes() == whole


def test_another_run_is_not_resumed(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    broken: Any = _Interrupted(pipeline, 1)
    with pytest.raises(KeyboardInterrupt):
        run(broken, videos, tmp_path / "out", run="one")
    with pytest.raises(UserError, match="leave out --resume"):
        run(pipeline, videos, tmp_path / "out", run="other", resume=True)
    assert run(pipeline, videos, tmp_path / "out", run="other")


def test_shards_of_two_copies_join(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert not run(pipeline, videos, out, shard=(0, 2))
    copy = tmp_path / "copy" / "hidden"
    shutil.copytree(videos, copy)
    assert run(pipeline, copy, out, shard=(1, 2))


def test_shards_that_do_not_fit_are_named(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert not run(pipeline, videos, out, shard=(0, 3), run="one")
    assert not caplog.messages
    assert not run(pipeline, videos, out, shard=(1, 3), run="other")
    assert "shard 0 of 3 was run with other videos, models or settings than shard 1" in caplog.text
    assert run(pipeline, videos, out, shard=(0, 3), run="other") is False
    assert run(pipeline, videos, out, shard=(2, 3), run="other")
    assert len(caplog.messages) == 1


def test_other_videos_of_the_same_names_are_not_resumed(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    broken: Any = _Interrupted(pipeline, 1)
    with pytest.raises(KeyboardInterrupt):
        run(broken, videos, tmp_path / "out")
    noise = np.random.default_rng(0).integers(0, 255, (11, 16, 24, 3), np.uint8)
    for folder in videos.iterdir():
        write_video(tmp_path / "others" / folder.name, noise)
    with pytest.raises(UserError, match="leave out --resume"):
        run(pipeline, tmp_path / "others", tmp_path / "out", resume=True)


def test_a_result_that_is_gone_is_made_again(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(pipeline, videos, out)
    masks = (out / "hidden_masks.npy").read_bytes()
    (out / "hidden_masks.npy").unlink()
    assert run(pipeline, videos, out, resume=True)
    assert (out / "hidden_masks.npy").read_bytes() == masks


@pytest.mark.parametrize("extras", [{"save_frames": True}, {"num_gifs": 2}])
def test_a_result_of_other_settings_is_not_replaced(
    extras: dict, pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(pipeline, videos, out)
    with pytest.raises(UserError, match="other videos, models or settings"):
        run(pipeline, videos, out, resume=True, **extras)
    assert (out / "hidden_masks.npy").is_file() and run(pipeline, videos, out, resume=True)
    assert run(pipeline, videos, out, **extras)
    assert len(list((out / ("gifs" if "num_gifs" in extras else "frames")).iterdir())) in (2, 5)


def test_no_predictor_saves_no_frames(videos: Path, tmp_path: Path) -> None:
    pipeline = FutureMaskPredictor.from_config_file(write_pipeline(tmp_path, predictor=""))
    with pytest.raises(UserError, match="--save-frames: the pipeline predicts no frames"):
        run(pipeline, videos, tmp_path / "out", save_frames=True)
    assert run(pipeline, videos, tmp_path / "out", num_gifs=1)


def test_the_fingerprint_is_of_contents_not_of_paths(tmp_path: Path) -> None:
    def fingerprint(name: str, weight: float, *opts: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        torch.save({"model": {"weight": torch.full((1,), weight)}}, folder / f"{name}.pth")
        opts = ("PIPELINE.SEGMENTER.WEIGHTS", str(folder / f"{name}.pth"), *opts)
        cfg = load_pipeline_config(write_pipeline(folder), opts)
        return run_fingerprint(cfg, FutureMaskPredictor.from_config(cfg))

    one = fingerprint("one", 1)
    assert fingerprint("copy", 1) == one
    assert fingerprint("trained", 2) != one
    assert fingerprint("other", 1, "PIPELINE.SCORE_THRESH", "0.6") != one
    assert fingerprint("fewer", 1, "PIPELINE.PREDICTOR.CONFIG_FILE", "") != one


def test_faulty_videos_are_named_or_background(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    (videos / "video_2" / "image_3.png").unlink()
    damaged = videos / "video_7" / "image_5.png"
    data = bytearray(damaged.read_bytes())
    data[40:60] = bytes(20)  # the middle: found only when it is decoded
    damaged.write_bytes(data)
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"video_2/image_3\.png: missing frame.*--skip-faulty"):
        run(pipeline, videos, out)
    assert run(pipeline, videos, out, skip_faulty=True)
    masks = np.load(out / "hidden_masks.npy")
    assert masks.any((1, 2)).tolist() == [True, False, True, False, True]
    skipped = (out / "skipped.txt").read_text().splitlines()
    assert len(skipped) == 2 and "missing frame" in skipped[0] and "image_5.png" in skipped[1]


def test_a_damaged_frame_met_late_stops_with_its_name(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    damaged = videos / "video_7" / "image_5.png"
    data = bytearray(damaged.read_bytes())
    data[40:60] = bytes(20)
    damaged.write_bytes(data)
    with pytest.raises(UserError, match=r"image_5\.png: unreadable PNG.*--skip-faulty"):
        run(pipeline, videos, tmp_path / "out")


def test_two_runs_in_one_folder(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    class First(_Interrupted):
        def __call__(self, frames: np.ndarray, **options: Any) -> Any:
            with pytest.raises(UserError, match="another run"):
                run(pipeline, videos, out)
            run(pipeline, videos, out, shard=(1, 2))  # another shard is no rival
            return pipeline(frames, **options)

    first: Any = First(pipeline, 0)
    assert run(first, videos, out)
    assert np.load(out / "hidden_masks.npy").shape == (5, 16, 24)


def test_results_do_not_go_into_the_folder_of_the_videos(
    pipeline: FutureMaskPredictor, videos: Path
) -> None:
    with pytest.raises(UserError, match="is inside the folder of the input videos"):
        run(pipeline, videos, videos / "video_1")
    assert not (videos / "video_1" / "hidden_masks.npy").exists()


def test_a_full_disk_is_a_sentence_and_the_rest_is_resumed(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    run(pipeline, videos, tmp_path / "whole")
    whole = (tmp_path / "whole" / "hidden_masks.npy").read_bytes()
    out = tmp_path / "out"
    # Five masks have 1920 bytes, four 1536.
    failing = pytest.raises(UserError, match=r"out cannot be written \(file too")
    with output_in_memory(), file_size_limit(1600), failing:
        run(pipeline, videos, out)
    with (
        output_in_memory(),
        file_size_limit(1930),
        pytest.raises(UserError, match=r"masks\.npy cannot be written"),
    ):
        run(pipeline, videos, out, resume=True)  # all parts are there, and the result is larger
    nothing: Any = _Interrupted(pipeline, 0)
    assert run(nothing, videos, out, resume=True)
    assert (out / "hidden_masks.npy").read_bytes() == whole


@pytest.mark.parametrize(
    "lie", ["longer", "shorter", "other", "classes", "batches", "types", "lines", "text"]
)
def test_progress_that_is_not_of_the_masks_is_not_believed(
    lie: str, pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    run(pipeline, videos, tmp_path / "whole")
    out = tmp_path / "out"
    broken: Any = _Interrupted(pipeline, 2)
    with pytest.raises(KeyboardInterrupt):
        run(broken, videos, out)
    masks, progress = out / "parts" / "masks_0_of_1", out / "parts" / "progress_0_of_1"
    content, notes = masks.read_bytes(), json.loads(progress.read_text())
    changes = {
        "longer": (content + b"x" * 500, notes),
        "shorter": (content[:-1], notes),
        "other": (b"\xff" * len(content), notes),
        "classes": (b"\xff" * len(content), notes | {"checksum": crc32(b"\xff" * len(content))}),
        "lines": (content, {**notes, "skipped": [5]}),
        "batches": (content, {**notes, "batches": 3, "complete": True}),
        "types": (content, {**notes, "batches": "2", "skipped": 5}),
        "text": (content, [1]),
    }
    masks.write_bytes(changes[lie][0])
    progress.write_text(json.dumps(changes[lie][1]))
    rest: Any = _Interrupted(pipeline, 1 if lie == "longer" else 3)
    assert run(rest, videos, out, resume=True)
    results = [np.load(tmp_path / name / "hidden_masks.npy") for name in ("whole", "out")]
    assert np.array_equal(*results)


def test_a_part_that_was_changed_is_not_joined(
    pipeline: FutureMaskPredictor, videos: Path, tmp_path: Path
) -> None:
    assert not run(pipeline, videos, tmp_path, shard=(0, 2))
    path = tmp_path / "parts" / "masks_0_of_2"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(UserError, match="masks_0_of_2 has changed since shard 0/2 wrote it; run"):
        run(pipeline, videos, tmp_path, shard=(1, 2))
    assert not (tmp_path / "hidden_masks.npy").exists()
