"""The wheel, installed into a folder and used far from the checkout."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_tiny_videos
from tests.helpers import ROOT

WANTED = ("configs/**/*.yaml", "weights/*.pth", "cli/*.py", "web/static/*")
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "configs", "pyproject.toml", "setup.py", "vps_d2")


def can_build() -> bool:
    """Return whether this environment can build a wheel without the network."""
    installed = {each.metadata["Name"] for each in importlib.metadata.distributions()}
    if not {"pip", "setuptools"} <= installed:
        return False
    newest = importlib.metadata.version("setuptools").split(".")[:2]
    return "wheel" in installed or tuple(map(int, newest)) >= (70, 1)


pytestmark = pytest.mark.skipif(
    not can_build(),
    reason="a wheel is built by pip and setuptools 70.1 or newer; install them to run this test",
)


def run(command: list[object], folder: Path, **environment: str) -> str:
    words = [str(word) for word in command]
    environment = {**os.environ, **environment}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources, so that nothing is left among them."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out]
    run([sys.executable, "-m", "pip", "wheel", *options, copy], out)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_all_that_commands_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"vps_d2/{path.relative_to(folder).as_posix()}"
        for folder in (ROOT, ROOT / "vps_d2")
        for pattern in (*WANTED, "py.typed")
        for path in folder.glob(pattern)
    }
    assert len(expected) > 60 and expected <= names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "configs/"))]


def test_commands_run_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    options = ["--quiet", "--no-deps", "--no-index", "--target", site]
    run([sys.executable, "-m", "pip", "install", *options, wheel], work)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [path for path in others if path and Path(path).resolve() != ROOT]
    environment = {
        "PYTHONPATH": os.pathsep.join([str(site), *others]),
        "DETECTRON2_DATASETS": str(tmp_path),
    }
    where = run(
        [sys.executable, "-c", "import vps_d2; print(vps_d2.__file__)"], work, **environment
    )
    assert Path(where.strip()).parent == site / "vps_d2"
    (script,) = (site / "bin").glob("vps-d2*")
    assert "usage: vps-d2 COMMAND" in run([script, "--help"], work, **environment)

    data = write_tiny_videos(tmp_path / "vps")
    predict = ["predict", "--config-file", "configs/demo.yaml", "MODEL.DEVICE", "cpu"]
    paths = ["--input", data / "hidden", "--output", "hidden", "--save-frames"]
    run([script, *predict, *paths], work, **environment)
    assert np.load(work / "hidden" / "hidden_masks.npy").shape == (2, 32, 48)
    assert np.load(work / "hidden" / "frames" / "video_00006.npy").shape == (11, 32, 48, 3)

    train = ["train", "--config-file", "package://configs/instant_test/unet_instant_test.yaml"]
    opts = ["MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", 0, "OUTPUT_DIR", "run"]
    run([sys.executable, "-m", "vps_d2", *train, *opts], work, **environment)
    assert (work / "run" / "model_final.pth").is_file()
