"""The measures of rounds; those of the original package were the same on random reports."""

import numpy as np
import pytest

from vps_d2.evaluation.interactive.summary import (
    Round,
    Sample,
    choose_frame,
    score_frame,
    summarize_samples,
)


def make_sample(rounds: list[tuple[float, list[float]]], name: str = "a") -> Sample:
    """A sample of rounds with their seconds, and J of each object; F is 0.1 less."""
    numbers = tuple(range(1, len(rounds[0][1]) + 1)) if rounds else (1,)
    return Sample(
        name,
        "001",
        numbers,
        tuple(
            Round(
                0,
                seconds,
                {
                    number: {"J&F": j - 0.05, "J": j, "F": j - 0.1}
                    for number, j in zip(numbers, values, strict=True)
                },
            )
            for seconds, values in rounds
        ),
    )


def test_rounds_that_were_not_done_repeat_the_last_one_in_no_time() -> None:
    one = make_sample([(10, [0.45]), (20, [0.65]), (30, [0.85])])
    other = make_sample([(30, [0.25, 0.55])], "b")
    found = summarize_samples([one, other], 3, 100)
    # Objects count alike, whatever sample they are in; seconds are means over samples.
    assert found["rounds"]["seconds"] == pytest.approx([20, 30, 45])
    assert found["rounds"]["J"] == pytest.approx([1.25 / 3, 1.45 / 3, 1.65 / 3])
    assert found["rounds"]["J&F"] == pytest.approx([1.1 / 3, 1.3 / 3, 1.5 / 3])
    assert found["max_seconds"] == 150  # for 1.5 objects
    area = 20 * 1.1 / 6 + 10 * 1.2 / 3 + 15 * 1.4 / 3 + 105 * 1.5 / 3
    assert found["AUC"] == pytest.approx(area / 150)
    assert found["J&F@60s"] == pytest.approx(0.5)


def test_the_score_at_60_seconds_lies_between_rounds() -> None:
    sample = make_sample([(40, [0.25]), (40, [0.65])])
    found = summarize_samples([sample], 2)
    assert found["J&F@60s"] == pytest.approx(0.4)
    assert found["max_seconds"] == 80  # without a limit: as often as the longest round


def test_a_sample_without_a_round_in_time_scores_0() -> None:
    found = summarize_samples([make_sample([]), make_sample([(10, [1.05])], "b")], 2, 20)
    assert found["rounds"]["J&F"] == [0.5, 0.5] and found["rounds"]["seconds"] == [5, 5]


def test_the_worst_frame_is_next_and_each_only_once() -> None:
    scores = np.array([[[0.9, 0.7]], [[0.1, 0.4]], [[0.1, 0.6]], [[0.3, 0.3]]])  # 0.8 0.25 0.35 0.3
    assert choose_frame(scores, []) == 1
    assert choose_frame(scores, [1]) == 3
    assert choose_frame(scores, [3, 1]) == 2
    assert choose_frame(scores, [0, 1, 2, 3]) == 1
    # Of several objects, the mean counts.
    assert choose_frame(np.array([[[0, 0], [1, 1]], [[0.4, 0.4], [0.4, 0.4]]]), []) == 1


def test_an_object_that_is_rightly_absent_scores_1() -> None:
    truth = np.zeros((20, 30), np.uint8)
    truth[5:15, 5:15] = 1
    assert score_frame(truth, truth, [1, 2]) == [(1, 1), (1, 1)]
    moved = np.roll(truth, 5, 1)
    (region, boundary), absent = score_frame(np.where(moved, 2, 0), truth, [2, 1])
    assert (region, boundary) == (0, 0) and absent == (0, 0)
    assert score_frame(moved, truth, [1])[0][0] == pytest.approx(50 / 150)
