"""Data sets registered for the tests of this folder."""

import pytest

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.data.datasets import register_frames, register_videos


@pytest.fixture(scope="session")
def tiny_names(tiny_videos):
    """Register the tiny videos once; return their names by split."""
    names = {split: f"data_tests_{split}" for split in ("train", "val", "unlabeled", "hidden")}
    for split, name in names.items():
        register_videos(name, tiny_videos / split)
    names["frames"] = "data_tests_frames"
    register_frames(names["frames"], tiny_videos / "train")
    return names


@pytest.fixture
def cfg(tiny_names):
    cfg = get_vps_cfg()
    cfg.SEED = 3
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 3
    cfg.DATASETS.TRAIN = (tiny_names["train"],)
    cfg.INPUT.MAPPER = "FutureFramesMapper"
    return cfg
