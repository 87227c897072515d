"""Shipped configurations by their names, from any working folder."""

from pathlib import Path

import pytest

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.config.pipeline import load_pipeline_config, model_nodes
from vps_d2.evaluation.leaderboard import find_methods

UNET = ROOT / "configs" / "unet" / "unet_frames.yaml"
PIPELINES = [path.stem for path in sorted((ROOT / "configs" / "pipeline").glob("*.yaml"))]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("prefix", ["", "package://"])
def test_wherever_a_file_is_named(prefix: str, tmp_path: Path) -> None:
    assert load_config(f"{prefix}configs/unet/unet_frames.yaml").MODEL.META_ARCHITECTURE == "UNet"
    cfg = load_pipeline_config(f"{prefix}configs/demo.yaml")
    assert str(UNET) == cfg.PIPELINE.SEGMENTER.CONFIG_FILE
    assert all(Path(node.CONFIG_FILE).is_file() for node in model_nodes(cfg))
    assert [each.name for each in find_methods(f"{prefix}configs/pipeline")] == PIPELINES
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "PIPELINE:\n  SEGMENTER:\n"
        f"    CONFIG_FILE: {prefix}configs/unet/unet_frames.yaml\n"
        "    WEIGHTS: package://unet.pth\nVERSION: 2\n"
    )
    segmenter = load_pipeline_config("mine.yaml").PIPELINE.SEGMENTER
    assert str(UNET) == segmenter.CONFIG_FILE and Path(segmenter.WEIGHTS).is_file()
    name = f"{prefix}configs/mask_rcnn/mask_rcnn_R50w32_FPN_frames.yaml"
    cfg = load_pipeline_config("mine.yaml", ["PIPELINE.SEGMENTER.CONFIG_FILE", name])
    assert Path(cfg.PIPELINE.SEGMENTER.CONFIG_FILE).parent == ROOT / "configs" / "mask_rcnn"


def test_files_beside_the_one_that_names_them_go_first(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "unet"
    folder.mkdir(parents=True)
    (folder / "unet_frames.yaml").write_text("SEED: 7\nVERSION: 2\n")
    (tmp_path / "mine.yaml").write_text(
        "PIPELINE:\n  SEGMENTER:\n    CONFIG_FILE: configs/unet/unet_frames.yaml\nVERSION: 2\n"
    )
    named = load_pipeline_config("mine.yaml").PIPELINE.SEGMENTER.CONFIG_FILE
    assert load_config(named).SEED == load_config("configs/unet/unet_frames.yaml").SEED == 7
