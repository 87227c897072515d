"""``vps-d2 slurm`` without Slurm: what is said, and --local."""

import filecmp
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from vps_d2.cli.make_synthetic import main as make_synthetic
from vps_d2.cli.slurm import main, parse_minutes
from vps_d2.cluster.records import RunFolder
from vps_d2.io.errors import UserError

pytest.importorskip("submitit", reason="submitit is not installed")

SMALL = ["--train", "3", "--hidden", "2", "--height", "32", "--width", "48", "--workers", "1"]


def die_once(command: str, arguments: list[str]) -> None:
    """Run make-synthetic; the first start of shard 1 is killed, as for lack of memory."""
    out = Path(arguments[arguments.index("--out") + 1])
    mark = out.with_name("died")
    if arguments[:2] == ["--shard", "1/2"] and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    make_synthetic(arguments)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def test_a_task_that_died_is_run_again_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    make_synthetic(["--out", str(whole), *SMALL])
    monkeypatch.setattr("vps_d2.cli.main.run_command", die_once)
    main(["--local", "2", "make-synthetic", "--out", str(out), *SMALL])
    names = [str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(whole, out, names, shallow=False) == (names, [], [])
    run = RunFolder(out).read_run() or {}
    starts = {name: len(attempts) for name, attempts in run["processes"].items()}
    assert starts == {"task_0000": 1, "task_0001": 2, "join": 1}
    capsys.readouterr()
    main(["status", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("make-synthetic, jobs") and lines[0].endswith(": finished")
    assert lines[2].split()[:2] == ["task_0001", "finished"] and "start 2" in lines[2]


def test_an_error_of_a_task_ends_the_run_with_its_sentence(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "train" / "video_00000").mkdir(parents=True)  # of somebody else
    with pytest.raises(UserError, match=r"task 0 of 1 failed: .*train already exists, without a"):
        main(["--local", "1", "make-synthetic", "--out", str(out), *SMALL])
    assert (RunFolder(out).read_run() or {})["state"] == "failed"
    with pytest.raises(UserError, match="an unfinished run of 1 tasks, not 2; give --tasks 1 to"):
        main(["--local", "2", "make-synthetic", "--out", str(out), *SMALL])
    with pytest.raises(UserError, match="an unfinished run of another command; run that again"):
        main(["--local", "1", "make-synthetic", "--out", str(out), *SMALL, "--seed", "3"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("make-synthetic --out {out} --train 1", "give --tasks N, the number of jobs that share"),
        ("--tasks 2 train", "--tasks is for commands over many videos"),
        ("--tasks 2 make-tracks --out {out} --videos 2 --shard 0/2", "--shard is chosen for each"),
        ("--tasks 2 --nodes 2 make-tracks --out {out} --videos 2", "--nodes and --processes-per"),
        ("--tasks 2 make-tracks --out {out} --videos 2", "there is no sbatch on this machine"),
        ("--tasks 2 predict clip.mp4", "predict needs --output"),
        ("--local 1 make-tracks --out {file} --videos 2", "slurm cannot be written"),
        ("status {out}", "holds no run of vps-d2 slurm"),
        ("status", "status needs the folder of results"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    arguments: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").write_text("")
    paths = {"out": tmp_path / "out", "file": tmp_path / "file"}
    with pytest.raises(UserError, match=words) as error:
        main(arguments.format(**paths).split())
    assert "\n" not in str(error.value)


def test_without_submitit_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r'install it with pip install "vps_d2\[slurm\]"'):
        main(["status", "x"])


def test_a_dry_run_prints_the_scripts_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--dry-run --tasks 3 --partition gpu --time 2:00:00 --mem 8G --gpus-per-node 1"
    command = ["make-tracks", "--out", str(tmp_path / "out"), "--videos", "1"]
    main([*options.split(), "--sbatch", "account=me", *command])
    shards, join = capsys.readouterr().out.split("#!/bin/bash")[1:]
    for line in ("array=0-2%3", "partition=gpu", "time=120", "mem=8G", "gpus-per-node=1"):
        assert f"#SBATCH --{line}\n" in shards
    assert "#SBATCH --account=me\n" in shards and "#SBATCH --requeue\n" in shards
    assert "#SBATCH --dependency=afterany:JOB\n" in join and "srun" not in join
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("2:00:00", 120), ("1-12", 36 * 60), ("1-00:30:00", 24 * 60 + 30), ("5:30", 5)],
)
def test_times_are_those_of_slurm(text: str, minutes: int) -> None:
    assert parse_minutes(text) == minutes


def test_a_damaged_record_is_a_sentence(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.start("label", [], 2, {})
    (folder.path / "run.json").write_text(json.dumps({"command": 3}))
    with pytest.raises(UserError, match=r"run\.json is damaged; remove the folder"):
        main(["status", str(tmp_path)])


def test_records_tell_failures_from_deaths(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.start("label", [], 2, {})
    for number, (error, state) in enumerate(
        [(UserError("no"), "failed"), (ValueError("bug"), "died"), (SystemExit(1), "stopped")]
    ):
        with pytest.raises(type(error)), folder.recorded(f"task_{number:04d}", "7"):
            raise error
        assert folder.state(f"task_{number:04d}") == state
    attempt: dict[str, Any] = folder.attempts("task_0000")[0]
    assert attempt["message"] == "no" and attempt["job"] == "7" and attempt["host"]
