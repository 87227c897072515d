"""The measurement of the page, on a small clip and with an engine that is there at once."""

from pathlib import Path

import pytest

from tests.cli.test_annotate import ENGINE
from vps_d2.data.video import find_videos
from vps_d2.io.errors import UserError
from vps_d2.web import timing


def test_every_figure_is_measured(
    tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "ROWS", 64)
    monkeypatch.setattr(timing, "_SHORT", 6)
    (tmp_path / "engine.py").write_text(ENGINE)
    folders = find_videos(tiny_videos / "train")
    options = ["--engine", "slow", "--import", str(tmp_path / "engine.py")]
    figures = timing.time_page(folders, num_frames=30, repeats=3, options=options)
    opening = ("address", "first frame", "network loaded")
    assert [figure.name for figure in figures] == [
        *(f"annotate, 6 frames, {name}" for name in opening),
        *("annotate, click to mask", "annotate, frame in memory"),
        "annotate, click to mask while following",
        *(f"annotate, 30 frames, {name}" for name in opening),
    ]
    assert all(0 < figure.value < (60 if figure.unit == "s" else 5000) for figure in figures)
    address, frame, loaded = (figure.value for figure in figures[:3])
    assert address < frame < loaded


def test_a_server_that_fails_is_one_sentence(tiny_videos: Path) -> None:
    folders = find_videos(tiny_videos / "train")
    with pytest.raises(UserError, match="vps-d2 annotate failed"):
        timing.time_page(folders, num_frames=9, repeats=1, options=["--port", "99999"])
