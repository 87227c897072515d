"""``vps-d2 segment`` and ``vps-d2 evaluate-tubes`` as a user calls them."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import load_tool
from vps_d2.data.video import read_masks
from vps_d2.io.errors import UserError
from vps_d2.io.tars import pack_folder, unpacked

TOOL = "segment_video"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vps_d2.io.video_writing import VideoWriter

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, 64, 96, Fraction(10)) as writer:
        for index in range(6):
            frame = np.full((64, 96, 3), 100, np.uint8)
            frame[20:40, 10 + 3 * index : 30 + 3 * index] = (200, 0, 0)
            frame[40:60, 60:80] = (0, 200, 0)
            writer.write(frame, Fraction(index, 10))
    return path


@pytest.fixture
def stub(tmp_path: Path) -> list[str]:
    """Arguments that name a tiny segmenter: class 1 is red, class 2 is green."""
    import tests.pipeline_stubs  # noqa: F401  (registers it)

    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "stub.pth")
    (tmp_path / "stub.yaml").write_text(
        "MODEL:\n  META_ARCHITECTURE: StubSegmenter\n  DEVICE: cpu\n"
        "INPUT:\n  FORMAT: RGB\n  MIN_SIZE_TEST: 0\n"
        'DATASETS:\n  TRAIN: ("vps_train",)\nVERSION: 2\n'
    )
    weights = ["--weights", str(tmp_path / "stub.pth"), "--threshold", "0"]
    return ["--config-file", str(tmp_path / "stub.yaml"), *weights, "--device", "cpu"]


def segment(*arguments: object) -> None:
    load_tool(TOOL).main([str(each) for each in arguments])


def test_a_video_and_the_names_of_old_scripts(
    clip: Path, stub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(clip, *stub, "--output", tmp_path / "new", "--colors", "white")
    assert "2 objects (gray metal cube, red metal cube) in 6 frames" in capsys.readouterr().out
    old = [each.replace("--weights", "--model_path") for each in stub]
    names = ["--mp4_clip_path", clip, "--save_path", tmp_path / "old", "--masks_color", "white"]
    segment(*names, "--masks", *old)
    result = (tmp_path / "new/clip/result.json").read_text()
    assert len(json.loads(result)) == 2
    assert (tmp_path / "old/clip/result.json").read_text() == result


def test_several_inputs_of_which_one_is_damaged(
    clip: Path, stub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(3):
        Image.new("RGB", (64, 48), (200, 0, 0)).save(tmp_path / f"frames/{index}.png")
    output = tmp_path / "out"
    (output / "clip").mkdir(parents=True)
    (output / "clip/overlay.mp4").write_text("somebody's film")
    with pytest.raises(UserError, match="1 of 2 videos were left out"):
        segment(clip, tmp_path / "frames", *stub, "--output", output, "--rate", "12.5")
    assert "was not written by an earlier run" in capsys.readouterr().err
    assert (output / "clip/overlay.mp4").read_text() == "somebody's film"
    manifest = json.loads((output / "frames/segmentation.json").read_text())
    assert manifest["complete"] and manifest["frames_per_second"] == 12.5


def test_a_folder_of_videos_and_of_tar_files(
    clip: Path, stub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    (videos / "frames").mkdir(parents=True)
    (videos / "film.mp4").write_bytes(clip.read_bytes())
    (videos / "notes.txt").write_text("not a video")
    Image.new("RGB", (64, 48), (200, 0, 0)).save(videos / "frames" / "0.png")
    options = [*stub, "--no-overlay", "--format", "png"]
    segment(videos, *options, "--output", tmp_path / "whole")
    for index in (0, 1):
        segment(videos, *options, "--output", tmp_path / "parts", "--shard", f"{index}/2")
    for folder in ("whole", "parts"):
        names = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert names == ["film", "frames"]
    result = (tmp_path / "whole/film/result.json").read_bytes()
    assert (tmp_path / "parts/film/result.json").read_bytes() == result
    (videos / "broken.mp4").write_text("no video")
    shards = tmp_path / "shards"
    shards.mkdir()
    pack_folder(videos, shards / "0.tar")
    capsys.readouterr()
    with pytest.raises(UserError, match="1 of 3 videos were left out"):
        segment(shards, *options, "--output", tmp_path / "out")
    assert "out/0.tar/film: 2 objects" in capsys.readouterr().out
    with unpacked(tmp_path / "out" / "0.tar") as folder:
        assert (folder / "film" / "result.json").read_bytes() == result
        assert sorted(path.name for path in folder.iterdir()) == ["film", "frames"]
    segment(shards, *options, "--output", tmp_path / "out", "--resume")  # it is there
    assert "objects" not in capsys.readouterr().out


def test_clean(clip: Path, stub: list[str], tmp_path: Path) -> None:
    segment(clip, *stub, "--output", tmp_path / "out", "--format", "png", "--no-overlay")
    (tmp_path / "out/clip/mine.txt").write_text("mine")
    segment(clip, "--output", tmp_path / "out", "--clean")
    assert [path.name for path in (tmp_path / "out/clip").iterdir()] == ["mine.txt"]


def test_videos_of_a_youtube_vis_file(stub: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 48), (200, 0, 0)).save(tmp_path / name / "0.png")
    videos = [{"id": 1, "file_names": ["a/0.png"]}, {"id": 2, "file_names": ["b/0.png"]}]
    (tmp_path / "val.json").write_text(json.dumps({"videos": videos}))
    options = ["--ann_path", tmp_path / "val.json", "--img_path", tmp_path]
    segment(*options, *stub, "--output", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}
    (tmp_path / "val.json").write_text("[]")
    with pytest.raises(UserError, match="lists no videos with file_names"):
        segment(*options, *stub)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "gray metal cub"], "knows no class gray metal cub; .* gray metal cube"),
        (["--device", "toaster"], "device toaster is unknown"),
        (["--weights", "none.pth"], "none.pth"),
        (["--output", "/dev/null"], "/dev/null"),
    ],
)
def test_wrong_arguments_are_a_sentence(
    arguments: list[str], message: str, clip: Path, stub: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        segment(clip, *stub, "--output", tmp_path / "out", *arguments)
    assert not list(tmp_path.glob("out/**/*.json"))


@pytest.mark.parametrize("arguments", [[], ["x.mp4", "--start", "5", "--end", "5"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        segment(*arguments)
    assert "error" in capsys.readouterr().err


def test_two_inputs_of_one_name(clip: Path, stub: list[str], tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    with pytest.raises(UserError, match="would both be written to"):
        segment(clip, tmp_path / "clip.mp4", *stub, "--output", tmp_path / "out")


def test_segmented_videos_are_scored(
    tiny_videos: Path, stub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = sorted(path for path in (tiny_videos / "val").iterdir() if path.is_dir())
    frames = len(read_masks(videos[0]))
    segment(*videos, *stub, "--output", tmp_path / "out", "--format", "png", "--no-overlay")
    capsys.readouterr()
    scores = tmp_path / "scores.json"
    evaluate = load_tool("evaluate_tubes").main
    arguments = [str(tiny_videos / "val"), str(tmp_path / "out")]
    evaluate([*arguments, "--json", str(scores)])
    assert capsys.readouterr().out.startswith("AP   0.")
    assert 0 <= json.loads(scores.read_text())["AP"] <= 1
    segment(videos[0], *stub, "--output", tmp_path / "out", "--end", frames - 1)
    with pytest.raises(UserError, match="segment it without --start, --end and --stride"):
        evaluate(arguments)
    segment(videos[0], "--output", tmp_path / "out", "--clean")
    with pytest.raises(UserError, match="holds no complete result for video"):
        evaluate(arguments)
