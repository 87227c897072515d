"""``vps-d2 eval-interactive`` as a user calls it."""

import csv
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.interactive.stub import write_scribbles, write_video
from tests.helpers import load_tool
from tests.inference.vos.stub import ColorEngine
from vps_d2.io.errors import UserError

COUNT = 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Video a, which two people scribbled on, and b, which nobody did."""
    for name in ("a", "b"):
        write_video(tmp_path / f"data/{name}/frames", tmp_path / f"data/{name}/masks", COUNT)
    for each in ("001", "002"):
        write_scribbles(tmp_path / f"data/Scribbles/a/{each}.json", COUNT, frame=3)
    return tmp_path / "data"


def evaluate(data: Path, output: Path, *options: object) -> None:
    words = ["--dataset", data, "--output", output, "--engine", "scribbled-colors", *options]
    load_tool("eval_interactive").main([str(each) for each in words])


def test_files_and_what_is_printed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(data, tmp_path / "out", "--rounds", 2, "--time-limit", 60)
    printed = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("curves.png", "rounds.csv", "scores.json")
    ]
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["complete"] and scores["max_seconds"] == 120 and scores["AUC"] > 0.5
    names = [(each["video"], each["scribbles"]) for each in scores["samples"]]
    assert names == [("a", "001"), ("a", "002"), ("b", "robot")]
    assert min(scores["rounds"]["J&F"]) > 0.95 and len(scores["rounds"]["seconds"]) == 2
    assert "3 samples of 2 videos, 6 objects" in scores["caption"]
    assert "the robot in 1 sample, and people in the others; 60 s per object" in scores["caption"]
    rows = list(csv.DictReader((tmp_path / "out/rounds.csv").read_text().splitlines()))
    assert [(each["video"], each["round"]) for each in rows[2:5]] == [
        *(("a", "1"), ("a", "2"), ("b", "1"))
    ]
    assert rows[4]["frame_index"] == "3" and float(rows[4]["J&F"]) > 0.95
    assert Image.open(tmp_path / "out/curves.png").format == "PNG"
    assert re.search(r"^2 +[\d.]+ +(0\.9|1\.0)", printed.out, re.MULTILINE)
    assert "J&F@60s 0.9" in printed.out or "J&F@60s 1.0" in printed.out
    assert "For tests alone." in printed.err  # the license of the maker of masks


def test_an_interrupted_run_goes_on_after_the_last_video(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--rounds", 1]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        segment, calls = ColorEngine.segment, []

        def fail(engine: ColorEngine, *arguments: object) -> object:
            calls.append(arguments)
            if len(calls) > 2 * COUNT:  # in the third sample
                raise KeyboardInterrupt
            return segment(engine, *arguments)

        patch.setattr(ColorEngine, "segment", fail)
        evaluate(data, tmp_path / "out", *options)
    before = json.loads((tmp_path / "out/scores.json").read_text())
    assert not before["complete"] and [each["video"] for each in before["samples"]] == ["a", "a"]
    with pytest.raises(UserError, match="another video, model or options"):
        evaluate(data, tmp_path / "out", "--rounds", 2, "--resume")
    evaluate(data, tmp_path / "out", *options, "--resume")
    after = json.loads((tmp_path / "out/scores.json").read_text())
    assert after["complete"] and after["samples"][:2] == before["samples"]
    assert [each["video"] for each in after["samples"]] == ["a", "a", "b"]
    left = [path.name for path in (tmp_path / "out").iterdir()]
    assert sorted(left) == ["curves.png", "rounds.csv", "scores.json"]


def test_a_changed_video_is_done_again(data: Path, tmp_path: Path) -> None:
    options = ["--rounds", 1, "--sequences", "b"]
    evaluate(data, tmp_path / "out", *options)
    before = json.loads((tmp_path / "out/scores.json").read_text())["samples"]
    for part in ("frames", "masks"):
        (data / f"b/{part}/00003.png").unlink()
    evaluate(data, tmp_path / "out", *options, "--resume")
    after = json.loads((tmp_path / "out/scores.json").read_text())["samples"]
    assert (before[0]["rounds"][0]["frame"], after[0]["rounds"][0]["frame"]) == (3, 0)
    path = tmp_path / "out/scores.json"
    scores = json.loads(path.read_text())
    scores["samples"][0]["rounds"][0]["objects"] = {}
    path.write_text(json.dumps(scores))
    with pytest.raises(UserError, match="is damaged; leave out --resume"):
        evaluate(data, tmp_path / "out", *options, "--resume")


def test_wrong_command_lines_and_folders(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, words in (
        (["--rounds", 17], "17 is more than 16"),
        (["--time-limit", 601], "601 is more than 600"),
        (["--rounds", 0], "0 is not a whole number of 1 or more"),
    ):
        with pytest.raises(SystemExit):
            evaluate(data, tmp_path / "out", *options)
        assert words in capsys.readouterr().err
    with pytest.raises(UserError, match="inside the folder of the input videos"):
        evaluate(data, data / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/curves.png").write_text("somebody's picture")
    with pytest.raises(UserError, match=r"curves\.png was not written by an earlier run"):
        evaluate(data, tmp_path / "out", "--rounds", 1)
    assert (tmp_path / "out/curves.png").read_text() == "somebody's picture"
