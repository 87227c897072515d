"""The data sets that the trainer is tested on."""

from pathlib import Path

import pytest

from vps_d2.data.datasets import register_videos


@pytest.fixture(scope="package", autouse=True)
def videos(tiny_videos: Path) -> None:
    register_videos("train_of_test_trainer", tiny_videos / "train")
    register_videos("test_of_test_trainer", tiny_videos / "val")
