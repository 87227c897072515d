"""tools/evaluate.py as a user calls it."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import load_tool
from vps_d2.data.video import find_videos, read_frames
from vps_d2.io.errors import UserError


def evaluate(tmp_path: Path, *arguments: object) -> dict:
    report = tmp_path / "scores.json"
    load_tool("evaluate").main([*map(str, arguments), "--json", str(report)])
    return json.loads(report.read_text())


def test_the_truth_scores_one_and_background_less(tiny_videos: Path, tmp_path: Path) -> None:
    truth = tiny_videos / "hidden_truth.npy"
    scores = evaluate(tmp_path, "--pred", truth, "--truth", truth)
    assert scores["jaccard"] == 1 and scores["jaccard_interval"] == [1, 1]
    assert scores["num_videos"] == 2 and len(scores["per_class"]) == 49
    np.save(tmp_path / "empty.npy", np.zeros_like(np.load(truth)))
    scores = evaluate(tmp_path, "--pred", tmp_path / "empty.npy", "--truth", truth)
    assert 0.1 < scores["jaccard"] < 0.4
    low, high = scores["jaccard_interval"]
    assert low <= scores["jaccard"] <= high


def test_a_folder_is_a_truth_and_gives_the_copy(tiny_videos: Path, tmp_path: Path) -> None:
    folder = tiny_videos / "val"
    masks = np.stack([np.load(video / "mask.npy")[10] for video in sorted(folder.iterdir())])
    np.save(tmp_path / "copy.npy", masks)
    scores = evaluate(tmp_path, "--pred", tmp_path / "copy.npy", "--truth", folder, "--copy")
    assert scores["jaccard"] == scores["copy"]["jaccard"] < 1
    (tmp_path / "videos.txt").write_text("video_2\nvideo_9\n")
    with pytest.raises(UserError, match="does not list the videos"):
        evaluate(tmp_path, "--pred", tmp_path / "copy.npy", "--truth", folder)


def describe(folder: Path, frames: Iterable[int]) -> None:
    content = {"num_known": 11, "frames": list(frames), "mask_frame": 22, "classes": ["a", "b"]}
    (folder / "predictions.json").write_text(json.dumps(content))


def test_frames(tiny_videos: Path, tmp_path: Path) -> None:
    for video in (tiny_videos / "val").iterdir():
        frames = read_frames(video, range(11, 22))
        np.save(tmp_path / f"{video.name}.npy", frames + np.uint8(2))
    describe(tmp_path, range(12, 23))
    arguments = ["--pred-frames", tmp_path, "--truth-frames", tiny_videos / "val"]
    report = evaluate(tmp_path, *arguments, "--copy")
    scores = report["frames"]
    assert scores["mse"] == pytest.approx(4, rel=0.01) and scores["ssim"] > 0.9
    clips = [
        read_frames(each, range(10, 22)).astype(float) for each in find_videos(tiny_videos / "val")
    ]
    squares = np.mean([(clip[1:] - clip[0]) ** 2 for clip in clips])
    assert report["copied_frames"]["mse"] == pytest.approx(squares, rel=0.01)


def test_frames_are_scored_by_what_is_seen(tiny_videos: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("flip_evaluator", reason="flip-evaluator is not installed")
    for video in (tiny_videos / "val").iterdir():
        np.save(tmp_path / f"{video.name}.npy", read_frames(video, [11]))
    describe(tmp_path, [12])
    arguments = ["--pred-frames", tmp_path, "--truth-frames", tiny_videos / "val", "--copy"]
    report = evaluate(tmp_path, *arguments, "--perceptual", "flip")
    assert report["frames"]["flip"] == 0 < report["copied_frames"]["flip"] < 0.2
    assert capsys.readouterr().out.splitlines()[0].endswith("SSIM 1.0000, FLIP 0.0000")


def test_a_frame_alone_is_frame_22(tiny_videos: Path, tmp_path: Path) -> None:
    for video in (tiny_videos / "val").iterdir():
        np.save(tmp_path / f"{video.name}.npy", read_frames(video, [21]))
    arguments = ["--pred-frames", tmp_path, "--truth-frames", tiny_videos / "val"]
    with pytest.raises(UserError, match="does not say which frames these are"):
        evaluate(tmp_path, *arguments)
    describe(tmp_path, [22])
    assert evaluate(tmp_path, *arguments)["frames"]["mse"] == 0
    np.save(tmp_path / f"{video.name}.npy", np.zeros((23, 32, 48, 3), np.uint8))
    with pytest.raises(UserError, match=r"has the shape \(23, .*predict it again"):
        evaluate(tmp_path, *arguments)


def test_masks_of_other_videos_are_a_sentence(tiny_videos: Path, tmp_path: Path) -> None:
    truth = tiny_videos / "hidden_truth.npy"
    np.save(tmp_path / "one.npy", np.load(truth)[:1])
    with pytest.raises(UserError, match="of the same videos"):
        evaluate(tmp_path, "--pred", tmp_path / "one.npy", "--truth", truth)
    with pytest.raises(UserError, match="folder of the labeled"):
        evaluate(tmp_path, "--copy", "--truth", truth)


def test_no_masks_are_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 6), np.uint8))
    with pytest.raises(UserError, match="no masks to score"):
        evaluate(tmp_path, "--pred", tmp_path / "none.npy", "--truth", tmp_path / "none.npy")


@pytest.mark.parametrize("content", [None, np.float32(1), np.full((11, 32, 48, 3), np.nan)])
def test_files_that_are_no_frames_are_a_sentence(
    content: np.ndarray | None, tiny_videos: Path, tmp_path: Path
) -> None:
    name = next((tiny_videos / "val").iterdir()).name
    if content is None:
        (tmp_path / f"{name}.npy").touch()
    else:
        np.save(tmp_path / f"{name}.npy", content)
    with pytest.raises(UserError, match=rf"{name}\.npy (cannot be read|is float)"):
        describe(tmp_path, range(12, 23))
        evaluate(tmp_path, "--pred-frames", tmp_path, "--truth-frames", tiny_videos / "val")


def test_a_report_that_cannot_be_written_stops_before_the_work(tmp_path: Path) -> None:
    arguments = ["--pred", "absent.npy", "--truth", "absent.npy", "--json", str(tmp_path)]
    with pytest.raises(UserError, match="is a folder; give the path of a file"):
        load_tool("evaluate").main(arguments)


def test_no_input_is_replaced_by_the_scores(tiny_videos: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.npy"
    truth.write_bytes((tiny_videos / "hidden_truth.npy").read_bytes())
    before = truth.read_bytes()
    arguments = ["--pred", tiny_videos / "hidden_truth.npy", "--truth", truth, "--json", truth]
    with pytest.raises(UserError, match=r"truth\.npy is an input"):
        load_tool("evaluate").main(list(map(str, arguments)))
    assert truth.read_bytes() == before


def test_masks_of_other_classes_are_a_sentence(tiny_videos: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_videos / "val", tmp_path / "own" / "val")
    (tmp_path / "own" / "dataset.json").write_text('{"thing_classes": ["cat", "dog"]}')
    np.save(tmp_path / "hidden_masks.npy", np.zeros((2, 32, 48), np.uint8))
    description = {"num_known": 11, "frames": [], "mask_frame": 22, "classes": ["dog", "cat"]}
    (tmp_path / "predictions.json").write_text(json.dumps(description))
    arguments = ["--pred", tmp_path / "hidden_masks.npy", "--truth", tmp_path / "own" / "val"]
    with pytest.raises(
        UserError, match=r"have 2 .*\(dog, cat\), but the true masks have 2 .*\(cat, dog\)"
    ):
        evaluate(tmp_path, *arguments)


def test_long_names_stay_in_their_columns(tmp_path: Path, capsys) -> None:
    names = ["a", "a class whose name is longer than most are", "b", "c"]
    (tmp_path / "dataset.json").write_text(json.dumps({"thing_classes": names}))
    np.save(tmp_path / "truth.npy", np.arange(5, dtype=np.uint8).reshape(1, 1, 5))
    evaluate(tmp_path, "--pred", tmp_path / "truth.npy", "--truth", tmp_path / "truth.npy")
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.index("1.000") == second.index("1.000")
    assert "longer than most are  1.000" in first + second
