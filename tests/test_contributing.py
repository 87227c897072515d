"""The samples of CONTRIBUTING.md: they register, train, evaluate and run as it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT
from vps_d2.cli import train
from vps_d2.d2.data import DatasetCatalog
from vps_d2.io.errors import UserError

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONFIG = ROOT / "configs" / "instant_test" / "unet_instant_test.yaml"


@pytest.fixture(scope="module")
def samples() -> Iterator[list[dict]]:
    """The names that each sample defines, in the order of the page."""
    spaces: list[dict] = []
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        spaces.append({})
        exec(compile(block, "CONTRIBUTING.md", "exec"), spaces[-1])
    yield spaces
    for name in {"street", "street_val"} & set(DatasetCatalog.list()):
        DatasetCatalog.remove(name)


def write_street(root: Path, count: int) -> None:
    """Write frames whose class can be read from their color."""
    colors = np.array([[0, 0, 0], [200, 80, 40], [40, 40, 200]], np.uint8)  # BGR
    rng = np.random.default_rng(0)
    for folder in ("frames", "classes"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        classes = rng.integers(0, 3, (12, 18), dtype=np.uint8)
        cv2.imwrite(str(root / "classes" / f"{number}.png"), classes)
        cv2.imwrite(str(root / "frames" / f"{number}.png"), colors[classes])


def test_a_new_architecture_learns_a_new_data_set(
    samples: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_street(tmp_path / "datasets" / "street", 4)
    DatasetCatalog.register("street_val", samples[1]["read_street"])  # the same, under a name
    options = (
        "MODEL.META_ARCHITECTURE ColorClassifier MODEL.DEVICE cpu INPUT.MAPPER StreetMapper "
        'DATASETS.TRAIN ("street",) DATASETS.TEST ("street_val",) '
        'TEST.EVALUATORS ("PixelAccuracyEvaluator",) TEST.BEST_METRIC pixels/accuracy '
        "SOLVER.MAX_ITER 40 SOLVER.IMS_PER_BATCH 4 SOLVER.BASE_LR 0.3 "
        "OUTPUT_DIR output"
    )
    train.main(["--config-file", str(CONFIG), *options.split()])
    metrics = (tmp_path / "output" / "metrics.json").read_text().splitlines()
    assert '"pixels/accuracy": 1.0' in metrics[-1]
    assert (tmp_path / "output" / "model_best.pth").is_file()


def test_a_new_data_set_names_its_faults(
    samples: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="frames holds no PNG"):
        samples[1]["read_street"]()


def test_a_new_command_counts(samples: list[dict], tmp_path: Path, capsys):
    for number in range(3):
        (tmp_path / f"video_{number}").mkdir()
    samples[3]["main"]([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 3 videos\n"


def test_every_folder_of_the_layout_exists():
    folders = re.findall(r"^\| `([\w/]+/)` \|", TEXT, re.MULTILINE)
    assert len(folders) > 10
    for folder in folders:
        assert (ROOT / folder).is_dir(), folder
