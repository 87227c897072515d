"""The rows of a timeline, kept while frames are found or read when a session is opened."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.vos.stub import SIZE, ColorEngine, truth, write_clip
from vps_d2.inference.vos.plan import count_visits
from vps_d2.inference.vos.session import VOSSession
from vps_d2.inference.vos.timeline import Timeline
from vps_d2.io.video import open_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def session(clip: Path, tmp_path: Path) -> Iterator[VOSSession]:
    with VOSSession(open_video(clip), tmp_path, ColorEngine()) as session:
        yield session


def follow(session: VOSSession, timeline: Timeline, direction: str = "forward", **values) -> None:
    """Follow objects; what is visited is what was said before."""
    results = session.propagate(direction, **values)
    action = session.maps.state.passes[-1]
    timeline.begin(action["id"])
    visited = []
    for result in results:
        timeline.add(action["id"], result.frame_index, result.scores)
        visited.append(result.frame_index)
    assert len(visited) == count_visits(action, session.maps, session.source.num_frames)


def test_runs_of_what_was_found(session: VOSSession) -> None:
    timeline = Timeline(session.maps)
    assert timeline.rows() == {}
    session.add_mask(5, truth(5))
    follow(session, timeline)
    assert timeline.rows() == {
        1: {"touched": [5], "runs": [(6, 11, "propagated")]},
        2: {"touched": [5], "runs": [(6, 8, "propagated"), (8, 11, "empty")]},
    }
    follow(session, timeline, "backward", objects=[1])
    assert timeline.rows()[1] == {
        "touched": [5],
        "runs": [(0, 5, "propagated"), (6, 11, "propagated")],
    }
    assert timeline.rows()[2]["runs"] == [(6, 8, "propagated"), (8, 11, "empty")]


def test_a_low_score_is_doubtful(session: VOSSession) -> None:
    session.add_mask(0, truth(0))
    list(session.propagate(end=2))
    timeline = Timeline(session.maps)
    action = session.maps.state.passes[-1]["id"]
    for index, score in enumerate([0.9, 0.7, 0.69, 0.1, 0.0, 0.8]):
        timeline.add(action, index + 1, {1: score})
    runs = [(1, 3, "propagated"), (3, 5, "doubtful"), (5, 6, "empty"), (6, 7, "propagated")]
    assert timeline.rows()[1]["runs"] == runs


@pytest.mark.parametrize("direction", ["forward", "backward", "both", "around"])
def test_what_was_read_is_what_was_kept(session: VOSSession, direction: str) -> None:
    kept = Timeline(session.maps)
    session.add_mask(0, truth(0))
    session.add_mask(4, truth(4))
    session.add_mask(9, truth(9))
    follow(session, kept, direction, start=4 if direction == "around" else 0)
    follow(session, kept, "forward", start=6, end=8)
    session.clear(2, 4, [1])
    session.clear(7, 8)

    def check() -> None:
        read = Timeline(session.maps)
        assert read.load(lambda: True) == bool(session.maps.state.passes)
        kept.load(lambda: True)
        assert read.rows() == kept.rows() and not read.load(lambda: True)
        # It agrees with the masks themselves.
        for number, row in read.rows().items():
            found = {k: kind for start, end, kind in row["runs"] for k in range(start, end)}
            for index in range(11):
                scores = session.scores(index)
                if index in row["touched"]:
                    assert number in scores and index not in found
                else:
                    assert (number in scores) == (index in found)
                    assert (scores.get(number) == 0) == (found.get(index) == "empty")

    check()
    while session.undo():
        check()
    while session.redo():
        check()
    session.remove_object(1)
    check()
    assert 1 not in kept.rows()


def test_it_ends_when_nobody_wants_it_any_more(session: VOSSession) -> None:
    session.add_mask(0, truth(0))
    list(session.propagate())
    timeline, asked = Timeline(session.maps), []

    def is_wanted() -> bool:
        asked.append(1)
        return len(asked) < 4

    timeline.load(is_wanted)
    assert timeline.rows()[1]["runs"] == [(1, 3, "propagated")]
    timeline.load(lambda: True)
    assert timeline.rows()[1]["runs"] == [(1, 11, "propagated")]


def test_a_damaged_file_is_a_gap(session: VOSSession) -> None:
    session.add_mask(0, truth(0))
    list(session.propagate())
    session.maps.pass_path(session.maps.state.passes[-1]["id"], 4).write_bytes(b"")
    timeline = Timeline(session.maps)
    timeline.load(lambda: True)
    assert timeline.rows()[1]["runs"] == [(1, 4, "propagated"), (5, 11, "propagated")]


def test_the_length_of_a_video_may_be_unknown(session: VOSSession) -> None:
    session.add_mask(3, truth(3))
    session.add_mask(6, np.zeros(SIZE, bool), 1)
    list(session.propagate())
    action = session.maps.state.passes[-1]
    assert count_visits(action, session.maps, 11) == 8
    assert count_visits(action, session.maps, None) is None
    assert count_visits({**action, "end": 9}, session.maps, None) == 6
