"""The data sets that the trainer is tested on."""

from pathlib import Path

import pytest

from vps_d2.data.datasets import register_videos


# For the session, since a process may come back to this folder after others, and a name is
# registered once.
@pytest.fixture(scope="session", autouse=True)
def videos(tiny_videos: Path) -> None:
    register_videos("train_of_test_trainer", tiny_videos / "train")
    register_videos("test_of_test_trainer", tiny_videos / "val")
