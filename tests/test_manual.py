"""The manual in docs/: its commands in the order of its pages, on a small data set."""

import importlib
import importlib.util
import re
import shlex
from glob import glob
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.helpers import ROOT
from vps_d2.cli.main import COMMANDS
from vps_d2.io.pictures import write_mp4

DOCS = ROOT / "docs"
PAGES = ("index", "install", "data", "train", "evaluate", "predict", "segment")
# Last on the command line, so they override what the page gives: the same way, sooner there.
SHORT = {
    "make-synthetic": (
        "--train 2 --val 1 --unlabeled 1 --hidden 2 --height 64 --width 96 --workers 1"
    ),
    "train": (
        "SOLVER.MAX_ITER 1 SOLVER.IMS_PER_BATCH 1 SOLVER.WARMUP_ITERS 0 TEST.NUM_PICTURES 1 "
        "DATALOADER.NUM_WORKERS 0 DATALOADER.FILTER_EMPTY_ANNOTATIONS False"
    ),
    "benchmark": "--only loader",
    "make-tracks": "--videos 2 --workers 1",
    "make-vos-clips": "--videos 1 --frames 2 --height 64 --width 96 --workers 1",
}
# Options have to stand before the keys of a configuration.
FIRST = {"label": "--threshold 0"}  # on frames this small it is unsure
SMALLER = {"--short-side": "16"}  # values of options
ELSEWHERE = {"demo"}  # it takes minutes, and .ci/run runs it


def read(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", read(page), re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def run(name: str, options: list[str]) -> None:
    """Run a command in this process, an error and all."""
    importlib.import_module(f"vps_d2.cli.{name.replace('-', '_')}").main(options)


def test_the_first_page_lists_every_command_with_its_script():
    rows = re.findall(r"^\| `([a-z-]+)` \| `([a-z_]+\.py)` \|", read("index"), re.MULTILINE)
    assert {name for name, _ in rows} == set(COMMANDS)
    assert {script for _, script in rows} == {path.name for path in (ROOT / "tools").glob("*.py")}
    for name, script in rows:
        assert f"vps_d2.cli.{name.replace('-', '_')}" in (ROOT / "tools" / script).read_text()


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ .*: (\w+)\.md$", text, re.MULTILINE))
    assert listed >= {path.stem for path in DOCS.glob("*.md")}


def test_every_command_is_one_the_tests_know():
    for words in (words for page in PAGES for words in commands(page)):
        assert words[0] in {"make", "source", "tensorboard", "vps-d2"}
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
        if words[0] == "vps-d2":
            assert words[1] in COMMANDS
    assert importlib.util.find_spec("tensorboard")


def test_every_config_that_a_page_names_exists():
    named = {name for page in PAGES for name in re.findall(r"[\w/*]+\.yaml", read(page))}
    named -= {"output/normalization.yaml"}  # which a command writes
    assert len(named) > 15
    for name in named:
        assert list((ROOT / "configs").glob(name.removeprefix("configs/"))), name


def test_the_commands_and_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    write_mp4("clip.mp4", np.zeros((16, 16, 24, 3), np.uint8), fps=5)
    for page in PAGES:
        for words in commands(page):
            if words[0] != "vps-d2" or (name := words[1]) in ELSEWHERE:
                continue
            # The shell replaces patterns by the names of what is there.
            words = [each for word in words[2:] for each in sorted(glob(word)) or [word]]
            options = [*FIRST.get(name, "").split(), *words, *SHORT.get(name, "").split()]
            for option in SMALLER.keys() & set(options):
                options[options.index(option) + 1] = SMALLER[option]
            run(name, options)
        capsys.readouterr()
        for example in blocks(page, "python"):
            exec(compile(example, f"{page}.md", "exec"), {})
        if page == "predict":
            assert capsys.readouterr().out.count("(11, 64, 96, 3)") == 2
    assert (tmp_path / "output/val/frames").is_dir()
    assert (tmp_path / "output/unet.pth").is_file()
    assert list((tmp_path / "output/hidden").rglob("*.gif"))
    assert (tmp_path / "clip.prediction.mp4").is_file()
    assert (tmp_path / "output/segment/clip/summary.html").is_file()


def test_versions_agree():
    version = re.search(r'__version__ = "(.+)"', (ROOT / "vps_d2/__init__.py").read_text())[1]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
