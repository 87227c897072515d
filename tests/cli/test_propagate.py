"""``vps-d2 propagate`` and ``vps-d2 evaluate-vos`` as a user calls them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, load_tool
from tests.inference.vos.stub import SIZE, draw, overlap, truth, write_clip
from vps_d2.data.object_maps import read_object_map
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Masks of frames 0, 5 and 57: object 1 in the first one, both in the others."""
    for index in (0, 5):
        Image.fromarray(truth(index)).save(tmp_path / f"{index}.png")
    return tmp_path


def propagate(*arguments: object) -> None:
    load_tool("propagate").main(["--engine", "colors", *(str(each) for each in arguments)])


def read_all(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_masks_of_two_frames(
    clip: Path, masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--mask", masks / "0.png", "--mask", f"5={masks / '5.png'}", "--name", "2=box"]
    propagate(clip, *given, "--output", tmp_path / "out", "--dataset", tmp_path / "labeled")
    folder = tmp_path / "out/clip"
    assert capsys.readouterr().out == f"{folder}: 2 objects in 11 frames\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("masks", "overlay.mp4", "propagation.json", "session")
    ]
    for index in range(3, 8):
        found = read_object_map(folder / f"masks/{index:06d}.png")
        assert overlap(found, truth(index), 1) > 0.9 and overlap(found, truth(index), 2) > 0.9
    manifest = json.loads((folder / "propagation.json").read_text())
    ball, box = manifest["objects"]
    assert (ball["class"], ball["frames"], ball["last"]) == ("object", 11, 10)
    assert (box["class"], box["first"], box["last"]) == ("box", 3, 7) and 0 < box["score"] < 1
    assert len(list((tmp_path / "labeled/video_0").glob("image_*.png"))) == 11
    with VOSSession.load(folder / "session") as session:
        assert session.given == {0: [1], 5: [1, 2]}


def test_only_some_objects_in_a_range_of_several_videos(
    clip: Path, masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(7):
        Image.fromarray(draw(index)).save(tmp_path / f"frames/{index}.png")
    (tmp_path / "out/clip").mkdir(parents=True)
    (tmp_path / "out/clip/overlay.mp4").write_text("somebody's film")
    options = ["--mask", f"5={masks / '5.png'}", "--objects", "2", "--start", 4, "--no-overlay"]
    propagate(tmp_path / "frames", *options, "--output", tmp_path / "out", "--end", 6)
    with pytest.raises(UserError, match="1 of 2 videos were left out"):
        propagate(clip, tmp_path / "frames", *options, "--overlay", "--output", tmp_path / "out")
    assert "was not written by an earlier run" in capsys.readouterr().err
    assert (tmp_path / "out/clip/overlay.mp4").read_text() == "somebody's film"
    folder = tmp_path / "out/frames/masks"
    assert sorted(path.name for path in folder.iterdir()) == [
        "000004.png",
        "000005.png",
        "000006.png",
    ]
    assert set(np.unique(read_object_map(folder / "000004.png"))) == {0, 2}


def test_clean(clip: Path, masks: Path, tmp_path: Path) -> None:
    propagate(clip, "--mask", masks / "0.png", "--output", tmp_path / "out")
    (tmp_path / "out/clip/session/mine.txt").write_text("mine")
    propagate(clip, "--output", tmp_path / "out", "--clean")
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert left == [tmp_path / "out/clip/session/mine.txt"]
    with pytest.raises(UserError, match="holds no results of an earlier run"):
        propagate(clip, "--output", tmp_path / "out", "--clean")


def test_a_killed_run_goes_on_to_the_same_bytes(clip: Path, masks: Path, tmp_path: Path) -> None:
    options = [clip, "--mask", masks / "0.png", "--mask", f"5={masks / '5.png'}", "--end", 9]
    propagate(*options, "--output", tmp_path / "whole")
    stub = tmp_path / "slow_engine.py"
    stub.write_text(
        "import time\nfrom tests.inference.vos import stub\nfind = stub.ColorEngine.segment\n"
        "def segment(self, picture, objects):\n    time.sleep(0.3)\n"
        "    return find(self, picture, objects)\nstub.ColorEngine.segment = segment\n"
    )
    command = [sys.executable, "-m", "vps_d2", "propagate", "--engine", "colors", *options]
    words = [*map(str, command), "--output", str(tmp_path / "cut"), "--import", str(stub)]
    folder = tmp_path / "cut/clip"
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, env=os.environ) as process:
        deadline = time.monotonic() + 60
        while not list(folder.glob("session/frames/*/000003.png")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    with pytest.raises(UserError, match="another video, model or options"):
        propagate(*options, "--output", tmp_path / "cut", "--resume", "--short-side", 20)
    propagate(*options, "--output", tmp_path / "cut", "--resume")
    assert read_all(folder) == read_all(tmp_path / "whole/clip")
    propagate(*options, "--output", tmp_path / "cut", "--resume")  # nothing is left to do


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        (np.ones((64, 48), np.uint8), [], "has 48 x 64 pixels, but .* has 64 x 48; give a mask"),
        (np.zeros(SIZE, np.uint8), [], "is empty; mark at least one object"),
        (np.full(SIZE, 300, np.uint16), [], "has values up to 300"),
        (np.full((*SIZE, 3), (1, 2, 3), np.uint8), [], "is a picture in color, but not in"),
        (np.resize(np.arange(256, dtype=np.uint8), SIZE), [], "255 values, as a photograph has"),
        (truth(5), ["--objects", "1,3"], "there is no object 3 in the masks, which have 1, 2"),
        (truth(5), ["--name", "4=dog"], "there is no object 4 in the masks"),
        (truth(5), ["--start", "99"], "frame index 99 is not in .*, which has 11"),
        (truth(5), ["--start", "7", "--end", "8", "--mask", "9=MASK"], None),
        (truth(5), ["--engine", "magic"], "engine magic is unknown; name one of .*flow"),
        (truth(5), ["--engine", "flow", "--weights", "x.pth"], "the engine flow has no model"),
        (truth(5), ["--output", "/dev/null"], "/dev/null"),
    ],
)
def test_wrong_input_is_a_sentence(
    values: np.ndarray, arguments: list[str], message: str | None, clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(values).save(path)
    words = [each.replace("MASK", str(path)) for each in arguments]
    if message is None:  # a mask outside the range helps, but is not in the result
        propagate(clip, "--mask", path, "--output", tmp_path / "out", *words)
        assert len(list((tmp_path / "out/clip/masks").iterdir())) == 2
        return
    with pytest.raises(UserError, match=message):
        propagate(clip, "--mask", path, "--output", tmp_path / "out", *words)
    assert not list(tmp_path.glob("out/**/*.json"))


def test_a_range_without_a_mask(clip: Path, masks: Path, tmp_path: Path) -> None:
    options = [clip, "--mask", f"5={masks / '5.png'}", "--output", tmp_path / "out"]
    for _ in range(2):  # the folder is free again
        with pytest.raises(UserError, match="no object has a mask in frames 7 to 8"):
            propagate(*options, "--start", 7, "--end", 9)
    propagate(*options)


def test_an_object_that_is_never_seen_again(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = truth(7)
    mask[0, 0] = 9  # nothing there has a color of its own
    Image.fromarray(np.where(mask == 2, mask, 0).astype(np.uint8)).save(tmp_path / "7.png")
    options = ["--mask", f"7={tmp_path / '7.png'}", "--direction", "forward", "--no-overlay"]
    propagate(clip, *options, "--output", tmp_path / "out")
    assert "object 2 was not found in any frame without a given mask" in capsys.readouterr().err
    assert not read_object_map(tmp_path / "out/clip/masks/000010.png").any()


@pytest.mark.parametrize(
    "arguments",
    [
        ["x.mp4"],
        ["x.mp4", "--mask", "a.png", "--objects", "0"],
        ["x.mp4", "--mask", "a.png", "--name", "dog"],
        ["x.mp4", "--mask", "a.png", "--start", "5", "--end", "5"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        propagate(*arguments)
    assert "error" in capsys.readouterr().err


def test_results_are_scored(
    clip: Path, masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    propagate(clip, "--mask", f"5={masks / '5.png'}", "--output", tmp_path / "out", "--start", 3)
    annotations = tmp_path / "davis/Annotations/480p/clip"
    annotations.mkdir(parents=True)
    for index in range(5, 11):
        Image.fromarray(truth(index)).save(annotations / f"{index:05d}.png")
    capsys.readouterr()
    scores = tmp_path / "scores.json"
    evaluate = load_tool("evaluate_vos").main
    evaluate([str(tmp_path / "davis"), str(tmp_path / "out"), "--json", str(scores)])
    content = json.loads(scores.read_text())
    assert content["J&F"] > 0.9 and set(content["objects"]["clip"]) == {"1", "2"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["sequence", "J&F", "J", "F"]
    assert lines[-1].split() == [
        "mean",
        "over",
        "objects",
        *(f"{content[k]:.3f}" for k in ("J&F", "J", "F")),
    ]


def test_the_flow_engine_follows_what_moves_a_little(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    texture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    small = np.kron(texture, np.ones((4, 4, 1), np.uint8))
    for index in range(4):
        Image.fromarray(np.roll(small, 2 * index, 1)).save(tmp_path / f"frames/{index}.png")
    mask = np.zeros((48, 64), np.uint8)
    mask[16:32, 16:32] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ["--mask", tmp_path / "mask.png", "--engine", "flow", "--output", tmp_path / "out"]
    propagate(tmp_path / "frames", *arguments, "--no-overlay")
    found = read_object_map(tmp_path / "out/frames/masks/000003.png")
    assert overlap(found, np.roll(mask, 6, 1), 7) > 0.7 > overlap(found, mask, 7)
