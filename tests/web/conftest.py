from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.inference.vos.stub import write_clip
from tests.web.stub import opened, served
from vps_d2.web.annotator import Annotator


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("web") / "clip.mp4")


@pytest.fixture
def annotator(clip: Path, tmp_path: Path) -> Iterator[Annotator]:
    with opened(clip, tmp_path / "session") as annotator:
        yield annotator


@pytest.fixture
def client(annotator: Annotator) -> Iterator[httpx.Client]:
    with served(annotator) as client:
        yield client
