"""A robot that labels a video in a session as a person would."""

from pathlib import Path

import numpy as np
import pytest

from tests.inference.vos.stub import ColorEngine, truth, write_clip
from tests.inference.vos.test_prompts import ColorMaker
from vps_d2.evaluation.scripted_session import run_scripted_session
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.video import open_video

COUNT = 11


class SmallMaker(ColorMaker):
    """Finds only the left half of an object at the first click."""

    def make_mask(self, picture, mask, strokes):
        made = super().make_mask(picture, mask, strokes)
        if len(strokes) == 1:
            columns = np.flatnonzero(made.any(0))
            made[:, columns[len(columns) // 2] :] = False
        return made


@pytest.fixture
def session(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4", COUNT)
    with VOSSession(
        open_video(clip), tmp_path / "session", ColorEngine(), mask_maker=ColorMaker()
    ) as session:
        yield session


def test_all_objects_are_clicked_on_and_followed(session: VOSSession) -> None:
    said: list[str] = []
    scores = run_scripted_session(session, [truth(i) for i in range(COUNT)], said.append)
    assert session.objects == {1: "object", 2: "object"}
    assert len(scores) == 1 and scores[0] > 0.9  # nothing was left to correct
    assert [line.split(":")[0] for line in said] == [
        "frame 0, object 1",
        "frame 3, object 2",
        "follow all objects through the video",
    ]


def test_clicks_go_on_until_the_mask_is_good(session: VOSSession) -> None:
    session.mask_maker = SmallMaker()
    said: list[str] = []
    run_scripted_session(session, [truth(i) for i in range(COUNT)], said.append)
    assert [line.startswith("frame 0, object 1: click at") for line in said[:2]] == [True, True]
    assert len(session.strokes(0, 1)) == 2


def test_the_worst_frame_is_corrected(session: VOSSession) -> None:
    wrong = [truth(i) for i in range(COUNT)]
    wrong[7][10:22, 36:] = 0  # half of what is found there
    said: list[str] = []
    scores = run_scripted_session(session, wrong, said.append, corrections=1)
    assert 7 in session.given and said[-1].startswith("follow all objects around frame 7")
    assert len(scores) == 2


def test_a_click_that_makes_it_worse_is_undone(session: VOSSession) -> None:
    class Worse(SmallMaker):
        def make_mask(self, picture, mask, strokes):
            made = super().make_mask(picture, mask, strokes)
            return made if len(strokes) == 1 else np.zeros_like(made)

    session.mask_maker = Worse()
    said: list[str] = []
    run_scripted_session(session, [truth(i) for i in range(COUNT)], said.append, corrections=0)
    assert said[1].startswith("frame 0, object 1: click") and said[1].endswith("undone")
    assert len(session.strokes(0, 1)) == 1
