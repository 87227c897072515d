"""The README: its commands, links and example, and the scores that pages show."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_synthetic_render import make_scene
from tests.helpers import ROOT, load_script, load_tool
from vps_d2.data.synthetic import SyntheticOptions, render_masks

README = (ROOT / "README.md").read_text(encoding="utf-8")
OBJECT_DYNAMICS = (ROOT / "docs" / "object_dynamics.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_commands_are_targets():
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    makefile = (ROOT / "Makefile").read_text()
    assert commands
    for make, target in commands:
        assert make == "make" and f"\n{target}:" in makefile


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_its_example_runs_on_what_the_demo_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    data = ["--out", "output/demo/data/seed_20231_24", "--hidden", "2"]
    load_tool("make_synthetic").main([*data, "--height", "64", "--width", "96", "--workers", "1"])
    capsys.readouterr()
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("predicted 22 classes") == 2


@pytest.mark.parametrize(
    "page", ["README.md", "docs/scores.md", "docs/frames.md", "vps_d2/weights/README.md"]
)
def test_scores_are_those_that_were_measured(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "<!-- scores: " in text
    scores = load_script("docs/write_scores.py")
    assert page in scores.PAGES and scores.render(text) == text  # else: make scores


def test_the_example_of_object_dynamics_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "datasets/vps/val/video_00000"
    folder.mkdir(parents=True)
    scene = make_scene(("cube", "rubber", "red", -0.6, 9.0), num_frames=22)
    np.save(folder / "mask.npy", render_masks(scene, SyntheticOptions()))
    (tmp_path / "vps_d2").symlink_to(ROOT / "vps_d2")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", OBJECT_DYNAMICS, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "object_dynamics.md", "exec"), names)
    center = names["future"].centers[0, 0, 11]
    column, row, _ = scene.camera.project(scene.positions[-1, 0], 160, 240)
    np.testing.assert_allclose(center, [column / 240 - 0.5, row / 240 - 1 / 3], atol=0.01)  # rests
    assert names["future"].probabilities[0, 0, 11] > 0.5
    assert capsys.readouterr().out.count("tensor") == 3
