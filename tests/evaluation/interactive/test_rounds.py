"""Rounds of scribbles on one video, with an engine and a maker of masks that know colors."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.evaluation.interactive.stub import ColorMaker, write_scribbles, write_video
from tests.inference.vos.stub import SIZE, ColorEngine, draw, truth
from vps_d2.evaluation.interactive import rounds
from vps_d2.evaluation.interactive.robot import Scribble
from vps_d2.evaluation.interactive.rounds import RoundOptions, run_sample
from vps_d2.evaluation.interactive.samples import InteractiveVideo, find_videos
from vps_d2.io.errors import UserError

COUNT = 6


@pytest.fixture
def video(tmp_path: Path) -> InteractiveVideo:
    write_video(tmp_path / "data/boxes/frames", tmp_path / "data/boxes/masks", COUNT)
    write_scribbles(tmp_path / "data/Scribbles/boxes/001.json", COUNT)
    return find_videos(tmp_path / "data")[0]


def mean(round_: rounds.Round, number: int) -> float:
    return round_.objects[number]["J&F"]


def test_an_object_that_nobody_saw_at_first_is_found_in_the_next_round(
    video: InteractiveVideo, tmp_path: Path
) -> None:
    """Object 2 comes in frame 3; the first scribbles are in frame 0."""
    calls = []
    sample = run_sample(
        video,
        video.scribbles[0],
        (ColorEngine(), ColorMaker()),
        RoundOptions(num_rounds=3),
        tmp_path / "session",
        lambda: calls.append(1),
    )
    assert (sample.video, sample.scribbles, sample.objects) == ("boxes", "001", (1, 2))
    first, second, third = sample.rounds
    assert len(calls) == 3 and first.frame == 0 and second.frame == 3
    assert mean(first, 1) > 0.95 and mean(first, 2) == 0.5  # of 6 frames, 3 are rightly without it
    assert mean(second, 2) > 0.95 and mean(third, 2) >= mean(second, 2)
    assert all(each.seconds > 0 for each in sample.rounds)


def test_the_robot_begins_if_nobody_scribbled(video: InteractiveVideo, tmp_path: Path) -> None:
    maker = ColorMaker()
    makers = ColorEngine(), maker
    sample = run_sample(video, None, makers, RoundOptions(1), tmp_path / "session")
    assert sample.scribbles == "robot" and sample.rounds[0].frame == 3
    assert min(mean(sample.rounds[0], number) for number in (1, 2)) > 0.95
    # Each object gets the scribbles on the other one as what it is not.
    assert maker.calls == [([True, False], 0), ([False, True], 0)]


def test_a_round_that_ends_too_late_does_not_count(
    video: InteractiveVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame that is segmented takes a second on this clock, and nothing else takes any."""
    engine = ColorEngine()
    clock = SimpleNamespace(monotonic=lambda: sum(call[0] == "segment" for call in engine.calls))
    monkeypatch.setattr(rounds, "time", clock)
    for limit, done in ((2.4, 0), (2.5, 1), (None, 2)):
        engine.calls.clear()
        options = RoundOptions(2, limit)  # for each of two objects
        found = run_sample(
            video, video.scribbles[0], (engine, ColorMaker()), options, tmp_path / str(limit)
        )
        assert [each.seconds for each in found.rounds][:1] == [5][:done]
        assert len(found.rounds) == done


def test_what_scribbles_say_of_each_object() -> None:
    known = np.zeros((50, 101), np.uint8)
    known[:, :20], known[:, 20:40], known[:, 40:60] = 1, 2, 3

    def scribble(number: int, *xs: float) -> Scribble:
        return Scribble(number, np.array([[x, 0.5] for x in xs]))

    chosen = rounds._choose_strokes([scribble(0, 0.25, 0.35), scribble(4, 0, 0.1)], known)
    # The background is where object 2 is, and object 4 where object 1 is; of 3 nothing is said.
    assert sorted(chosen) == [1, 2, 4]
    assert {number: [each.positive for each in strokes] for number, strokes in chosen.items()} == {
        1: [False, False],
        2: [False, False],
        4: [False, True],
    }
    assert chosen[4][1].points[0] == (0.5, 25.0)  # the center of the first pixel
    assert chosen[1] is not chosen[2] and chosen[2][0].points[1] == (35.5, 25.0)
    assert rounds._choose_strokes([scribble(0, 0.8, 0.9)], known) == {}


def test_a_right_result_is_left_alone(video: InteractiveVideo, tmp_path: Path) -> None:
    maker = ColorMaker()
    sample = run_sample(video, None, (ColorEngine(), maker), RoundOptions(4), tmp_path / "session")
    assert len(sample.rounds) == 4 and len(maker.calls) == 2
    assert sample.rounds[0].objects == sample.rounds[3].objects
    assert len({each.frame for each in sample.rounds[1:]}) == 3


def test_masks_of_another_size_or_without_an_object(tmp_path: Path) -> None:
    write_video(
        tmp_path / "a/frames", tmp_path / "a/masks", 1, labels=lambda index: truth(index)[:20]
    )
    write_video(
        tmp_path / "b/frames", tmp_path / "b/masks", 1, draw, lambda _: np.zeros(SIZE, np.uint8)
    )
    for name, words in (("a", "does not have the size"), ("b", "show no object")):
        with pytest.raises(UserError, match=words):
            run_sample(
                find_videos(tmp_path, [name])[0],
                None,
                (ColorEngine(), ColorMaker()),
                RoundOptions(1),
                tmp_path / f"session-{name}",
            )
