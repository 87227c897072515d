"""The README's commands, in its order, on a small data set: each goes on from those before."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import ROOT, load_tool

README = (ROOT / "README.md").read_text()
OBJECT_DYNAMICS = (ROOT / "docs" / "object_dynamics.md").read_text()
# Last on the command line, so they override what the README gives: the same way, sooner there.
SHORT = {
    "make_synthetic": (
        "--train 2 --val 1 --unlabeled 1 --hidden 2 --height 64 --width 96 --workers 1"
    ),
    "train_net": (
        "SOLVER.MAX_ITER 1 SOLVER.IMS_PER_BATCH 1 SOLVER.WARMUP_ITERS 0 TEST.NUM_PICTURES 1 "
        "DATALOADER.NUM_WORKERS 0 DATALOADER.FILTER_EMPTY_ANNOTATIONS False"
    ),
    "benchmark": "--only loader",
    "make_tracks": "--videos 2 --workers 1",
}
# Options have to stand before the keys of a configuration.
FIRST = {"label_unlabeled": "--threshold 0"}  # on frames this small it is unsure


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def test_every_target_exists():
    targets = [words[1] for words in commands() if words[0] == "make"]
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(f"\n{target}:" in makefile for target in targets)


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_config_in_the_table_exists():
    patterns = re.findall(r"^\| `([^`]+\.yaml)`", README, re.MULTILINE)
    assert patterns and all(list((ROOT / "configs").glob(pattern)) for pattern in patterns)


def test_every_command_is_one_the_tests_know():
    known = {"make", "source", "python", "tensorboard"}
    assert {words[0] for words in commands()} <= known
    assert shutil.which("tensorboard", path=str(ROOT / ".venv" / "bin")) or shutil.which(
        "tensorboard"
    )


def test_the_tools_and_the_example_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    tools = [words for words in commands() if words[0] == "python"]
    for words in tools:
        name = Path(words[1]).stem
        load_tool(name).main(
            [*FIRST.get(name, "").split(), *words[2:], *SHORT.get(name, "").split()]
        )
    assert (tmp_path / "output/hidden/hidden_masks.npy").is_file()
    assert (tmp_path / "datasets/vps/generated_train").is_dir()
    assert list((tmp_path / "output/hidden").rglob("*.gif"))

    capsys.readouterr()
    (example,) = blocks("python")
    assert len(example.strip().splitlines()) <= 20
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("(11, 64, 96, 3)") == 2


def test_the_example_of_object_dynamics_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "datasets/vps/val/video_00000"
    folder.mkdir(parents=True)
    masks = np.zeros((22, 160, 240), np.uint8)
    masks[:, 60:80, 100:120] = 5
    np.save(folder / "mask.npy", masks)
    (tmp_path / "vps_d2").symlink_to(ROOT / "vps_d2")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", OBJECT_DYNAMICS, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "object_dynamics.md", "exec"), names)
    center = names["future"].centers[0, 0, 11]
    np.testing.assert_allclose(center, [-10 / 240, -10 / 240], atol=0.01)  # rests
    assert names["future"].probabilities[0, 0, 11] > 0.5
    assert capsys.readouterr().out.count("tensor") == 3
