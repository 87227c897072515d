"""tools/visualize.py as a user calls it."""

import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import pytest

from tests.helpers import load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.io.errors import UserError


def test_a_video_without_a_pipeline(tiny_videos: Path, tmp_path: Path) -> None:
    folder = tiny_videos / "val" / "video_00002"
    load_tool("visualize").main(["--input", str(folder), "--output", str(tmp_path)])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["contact_sheet.png", "video_00002.gif", "video_00002.mp4"]
    assert len(iio.imread(tmp_path / "video_00002.mp4")) == 27


def test_a_video_has_the_colors_that_its_data_set_says(tiny_videos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_videos / "val", tmp_path / "own" / "val") / "video_00002"
    content = {"thing_classes": [str(number) for number in range(48)]}
    content["thing_colors"] = [[1, 2, 3]] * 48
    (tmp_path / "own" / "dataset.json").write_text(json.dumps(content))
    load_tool("visualize").main(["--input", str(folder), "--output", str(tmp_path / "out")])
    sheet = iio.imread(tmp_path / "out" / "contact_sheet.png")
    assert (sheet == (1, 2, 3)).all(-1).any()


@pytest.mark.parametrize("predictor", ["predictor.yaml", ""])
def test_hidden_videos_with_a_pipeline(tiny_videos: Path, tmp_path: Path, predictor: str) -> None:
    arguments = ["--config-file", str(write_pipeline(tmp_path, predictor))]
    arguments += ["--input", str(tiny_videos / "hidden"), "--output", str(tmp_path / "out")]
    arguments += ["--truth", str(tiny_videos / "hidden_truth.npy"), "--videos", "1"]
    load_tool("visualize").main(arguments)
    sheet = iio.imread(tmp_path / "out" / "contact_sheet.png")
    assert sheet.shape[1] > 7 * 240  # seven pictures, enlarged
    assert len(list((tmp_path / "out").glob("*.gif"))) == 1


def test_masks_of_other_videos_are_a_sentence(tiny_videos: Path, tmp_path: Path) -> None:
    arguments = ["--input", str(tiny_videos / "hidden" / "video_00006"), "--output", str(tmp_path)]
    with pytest.raises(UserError, match="has 2 masks"):
        load_tool("visualize").main([*arguments, "--truth", str(tiny_videos / "hidden_truth.npy")])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--fps", "nan"], "--fps must be"),
        (["--fps", "inf"], "--fps must be"),
        (["--fps", "0.001"], "--fps must be"),
        (["--videos", "0"], "--videos must be"),
        (["FOO", "1"], "FOO 1 overrides a config"),
    ],
)
def test_wrong_arguments_are_a_sentence(
    tiny_videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    paths = ["--input", str(tiny_videos / "val"), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        load_tool("visualize").main([*paths, *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("fps", ["0.1", "100"])
def test_the_slowest_and_the_fastest(tiny_videos: Path, tmp_path: Path, fps: str) -> None:
    folder = tiny_videos / "val" / "video_00002"
    arguments = ["--input", str(folder), "--output", str(tmp_path), "--fps", fps]
    load_tool("visualize").main(arguments)
    assert iio.immeta(tmp_path / "video_00002.gif")["duration"] == 1000 / float(fps)


def test_a_file_as_output_is_a_sentence(tiny_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ["--input", str(tiny_videos / "val"), "--output", str(tmp_path / "file")]
    with pytest.raises(UserError, match="file cannot be made"):
        load_tool("visualize").main(arguments)


def test_pictures_do_not_go_into_the_folder_of_the_videos(tiny_videos, tmp_path):
    for output in (tiny_videos / "val", tiny_videos / "val" / "video_00002" / "pictures"):
        with pytest.raises(UserError, match="is inside the folder of the input videos"):
            load_tool("visualize").main(
                ["--input", str(tiny_videos / "val"), "--output", str(output)]
            )
        assert not (output / "sheet.png").exists()
