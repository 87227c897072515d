"""Runs of the instant configurations, as a user starts them."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.helpers import ROOT, file_size_limit, load_tool, small_disk
from vps_d2.cli.run import run_tool
from vps_d2.cli.train import parse_args
from vps_d2.data.datasets import (
    register_frames,
    register_tracks,
    register_video_instances,
    register_videos,
)
from vps_d2.data.synthetic import make_tracks
from vps_d2.data.vos.datasets import register_vos_procedural
from vps_d2.io.checkpoints import read_checkpoint
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder

CONFIGS = ROOT / "configs" / "instant_test"
SCORES = {
    "simvp": "frames/mse",
    "convlstm": "frames/mse",
    "reconstructor": "frames/mse",
    "mask_simvp": "future_mask/jaccard",
    "mask_rcnn_R50w32_FPN": "jaccard/macro",
    "unet": "jaccard/macro",
    "object_dynamics": "future_mask/jaccard",
    "vistr": "segm/AP",
    "video_mask_former": "segm/AP",
    "small_vos": "video_objects/J&F",
}
# What each is trained on, where it is not videos.
KINDS = {
    "mask_rcnn_R50w32_FPN": "frames_",
    "unet": "frames_",
    "object_dynamics": "tracks_",
    "vistr": "vis_",
    "video_mask_former": "vis_",
    "small_vos": "clips_",
}


@pytest.fixture(scope="module", autouse=True)
def datasets(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for split in ("train", "val"):
        register_videos(f"{split}_of_test_train_net", tiny_videos / split)
        register_frames(f"frames_{split}_of_test_train_net", tiny_videos / split)
        register_video_instances(f"vis_{split}_of_test_train_net", tiny_videos / split)
        register_vos_procedural(f"clips_{split}_of_test_train_net", count=2)
    tracks = tmp_path_factory.mktemp("tracks")
    make_tracks(tracks, 3, workers=1)
    register_tracks("tracks_train_of_test_train_net", tracks)


def arguments(name: str, folder: Path, *more: str) -> list[str]:
    kind = KINDS.get(name, "")
    tested = kind.replace("tracks_", "")
    return [
        *("--config-file", str(CONFIGS / f"{name}_instant_test.yaml"), *more),
        *("DATASETS.TRAIN", f"('{kind}train_of_test_train_net',)"),
        *("DATASETS.TEST", f"('{tested}val_of_test_train_net',)"),
        *("MODEL.DEVICE", "cpu", "OUTPUT_DIR", str(folder)),
    ]


@pytest.mark.parametrize("name", list(SCORES))
def test_trains_evaluates_and_resumes(name: str, tmp_path: Path) -> None:
    main = load_tool("train_net").main
    main(arguments(name, tmp_path))
    assert (tmp_path / "model_final.pth").is_file()
    assert (tmp_path / "config.yaml").is_file()
    metrics = (tmp_path / "metrics.json").read_text()
    assert SCORES[name] in metrics
    assert "Engine " in (tmp_path / "log.txt").read_text()
    alone = ["DATASETS.TEST", "()", "TEST.EVALUATORS", "()", "TEST.PICTURE_PERIOD", "0"]
    main([*arguments(name, tmp_path, "--resume"), "SOLVER.MAX_ITER", "5", *alone])
    assert '"iteration": 4' in (tmp_path / "metrics.json").read_text()


def test_evaluates_alone(tmp_path: Path) -> None:
    main = load_tool("train_net").main
    main([*arguments("convlstm", tmp_path), "TEST.EVALUATORS", "()"])
    assert SCORES["convlstm"] not in (tmp_path / "metrics.json").read_text()
    main(arguments("convlstm", tmp_path, "--eval-only", "--resume"))
    assert "mse,psnr,ssim" in (tmp_path / "log.txt").read_text()


def test_a_network_for_strokes_trains_and_resumes(tmp_path: Path) -> None:
    main = load_tool("train_net").main
    config = ["--config-file", str(CONFIGS / "small_s2m_instant_test.yaml")]
    keys = ["MODEL.DEVICE", "cpu", "OUTPUT_DIR", str(tmp_path)]
    main([*config, *keys])
    assert "loss_dice" in (tmp_path / "metrics.json").read_text()
    main([*config, "--resume", *keys, "SOLVER.MAX_ITER", "5"])
    assert '"iteration": 4' in (tmp_path / "metrics.json").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_is_left_as_it_is(tmp_path: Path) -> None:
    main = load_tool("train_net").main
    main(arguments("convlstm", tmp_path))
    before = contents(tmp_path)
    with pytest.raises(UserError, match="already holds a run"):
        main(arguments("convlstm", tmp_path))
    for iterations in ("2", "4"):
        with pytest.raises(UserError, match=f"is finished: it has 4 iterations of {iterations};"):
            main([*arguments("convlstm", tmp_path, "--resume"), "SOLVER.MAX_ITER", iterations])
    assert contents(tmp_path) == before


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    for options in ([], ["--resume"], ["--eval-only", "--resume"]):
        with (
            claim_folder(tmp_path),
            pytest.raises(UserError, match="is being written by another run; wait"),
        ):
            load_tool("train_net").main(arguments("convlstm", tmp_path, *options))
        assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [file_size_limit, small_disk])
def test_a_full_disk_ends_with_the_earlier_checkpoint(
    limit: Callable[[int, Path], AbstractContextManager[None]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, many = tmp_path / "disk" / "out", limit is small_disk  # checkpoints find room there
    command = [*arguments("unet", out), "SOLVER.CHECKPOINT_PERIOD", "1"]
    (tmp_path / "disk").mkdir()
    with limit(300_000 if many else 60_000, tmp_path / "disk"):
        assert run_tool(partial(load_tool("train_net").main, command)) == 1
        said = capfd.readouterr().err
        assert re.fullmatch(rf"error: {out}.* cannot be written \([^)]*\); [^\n]*\n", said)
        assert "Traceback" not in (out / "log.txt").read_text()
        assert not any(".tmp" in path.name for path in out.iterdir())
        if many:
            last = (out / "last_checkpoint").read_text()
            assert read_checkpoint(str(out / last))["iteration"] >= 0


def test_on_a_full_disk_config_yaml_is_whole_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command, path = arguments("convlstm", out), out / "config.yaml"
    for before in (None, "an older one"):
        if before:
            path.write_text(before)
        with file_size_limit(1000), pytest.raises(UserError, match=r"config\.yaml cannot be writ"):
            load_tool("train_net").main(command)
        assert (path.read_text() if path.exists() else None) == before
        assert [each.name for each in out.iterdir()] == (["config.yaml"] if before else [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("SOLVER.BASE_LR 1e30 SOLVER.MAX_ITER 20", "training diverged"),
        ("INPUT.MAPPER FrameMapper", "FrameMapper finds no"),  # only the loader can tell
    ],
)
def test_errors_of_a_run_leave_no_traceback(options: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_tool("train_net").main([*arguments("convlstm", tmp_path), *options.split()])
    log = (tmp_path / "log.txt").read_text()
    assert f"Exception during training: {words}" in log
    assert "Traceback" not in log


def test_the_command_line() -> None:
    args = vars(parse_args([]))
    assert args.pop("dist_url").startswith("tcp://127.0.0.1:")
    assert args == {
        **{"config_file": "", "resume": False, "eval_only": False, "opts": []},
        **{"imports": []},
        **{"num_gpus": 1, "num_machines": 1, "machine_rank": 0},
    }
    args = vars(
        parse_args(
            ["--config-file", "a", "OUTPUT_DIR", "x", "--num-gpus", "2", "SOLVER.BASE_LR", "-1"]
        )
    )
    assert (args["config_file"], args["num_gpus"]) == ("a", 2)
    assert args["opts"] == ["OUTPUT_DIR", "x", "SOLVER.BASE_LR", "-1"]


def test_the_options_are_those_of_detectron2() -> None:
    defaults = pytest.importorskip("detectron2.engine.defaults", reason="needs Detectron2")
    pairs = "SOLVER.BASE_LR -1 SEED 3"
    for words in ("", f"--config-file a --resume --num-gpus 2 --machine-rank 1 {pairs}"):
        theirs = defaults.default_argument_parser().parse_args(words.split())
        ours = vars(parse_args(words.split()))
        assert ours.pop("imports") == []  # which is this project's own
        assert ours == vars(theirs)


def test_nothing_is_said_at_the_start() -> None:
    command = [sys.executable, ROOT / "tools" / "train_net.py", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-machines 0", "--num-machines is 0; give 1 or more"),
        ("--num-machines 2 --machine-rank 5", "--machine-rank is 5; give 0 or more, and less than"),
        ("--machine-rank -1", "--machine-rank is -1"),
        ("--num-gpus -2", "--num-gpus is -2; give 0 or more"),
        ("--num-gpus 0 --num-machines 2", "--num-gpus is 0; give 1 or more"),
    ],
)
def test_processes_that_cannot_be(options: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_tool("train_net").main(arguments("simvp", tmp_path, *options.split()))


def test_too_many_gpus_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--num-gpus is 999"):
        load_tool("train_net").main(arguments("simvp", tmp_path, "--num-gpus", "999"))


def test_missing_weights_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.pth"):
        load_tool("train_net").main(
            [*arguments("simvp", tmp_path, "--eval-only"), "MODEL.WEIGHTS", "missing.pth"]
        )
    with pytest.raises(UserError, match="no weights to evaluate"):
        load_tool("train_net").main(arguments("simvp", tmp_path, "--eval-only"))
