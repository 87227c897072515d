"""The robot's scribbles, compared with recorded points that equalled the original package's."""

import json
from pathlib import Path

import numpy as np
import pytest

from vps_d2.evaluation.interactive.robot import _open, draw_scribbles

CASES = json.loads(Path(__file__).with_name("robot_cases.json").read_text())
PLACES = [0, 250, 500, 750, -1]  # points of a scribble that were recorded


def make_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A wrong object map and the true one, of blobs; every case has another size."""
    random = np.random.default_rng(seed)
    height, width = random.integers(30, 160, 2)
    rows, columns = np.mgrid[:height, :width]
    maps = np.zeros((2, height, width), np.uint8)
    for object_map in maps:
        for number in (1, 2, 3):
            for _ in range(2):
                y, x = random.uniform(0, height), random.uniform(0, width)
                stretch, radius = random.uniform(0.3, 3), random.uniform(2, 50)
                near = (rows - y) ** 2 + (columns - x) ** 2 * stretch < radius**2
                object_map[near] = number
    return maps[0], maps[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["seed"]))
def test_scribbles_equal_those_recorded(case: dict) -> None:
    scribbles = draw_scribbles(*make_maps(case["seed"]))
    assert [each.number for each in scribbles] == [number for number, _ in case["scribbles"]]
    for scribble, (_, points) in zip(scribbles, case["scribbles"], strict=True):
        assert scribble.path.shape == (1000, 2)
        np.testing.assert_allclose(scribble.path[PLACES], points, atol=1e-6)


def test_a_bar_is_scribbled_along_its_middle() -> None:
    truth = np.zeros((60, 100), np.uint8)
    truth[20:31, 10:90] = 2
    (scribble,) = draw_scribbles(np.zeros_like(truth), truth)
    x, y = (scribble.path * (100, 60)).T
    assert scribble.number == 2 and x.max() - x.min() > 60
    inside = (x > 25) & (x < 75)
    np.testing.assert_allclose(y[inside], 25, atol=0.3)


def test_what_is_wrong_decides_the_number() -> None:
    truth = np.zeros((60, 120), np.uint8)
    truth[10:50, 10:50] = 1
    predicted = np.zeros_like(truth)
    predicted[10:50, 70:110] = 1
    scribbles = draw_scribbles(predicted, truth)
    assert [each.number for each in scribbles] == [0, 1]
    assert scribbles[0].path[:, 0].min() > 0.5 > scribbles[1].path[:, 0].max()
    predicted[:, :60] = 3  # object 1 lies under object 3, and the background too
    assert {each.number for each in draw_scribbles(predicted, truth)} == {0, 1}


def test_no_scribble_where_all_is_right_or_the_error_is_small() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:20, 10:20] = 1
    assert draw_scribbles(truth, truth) == []
    predicted = truth.copy()
    predicted[12:14, 12] = 0
    assert draw_scribbles(predicted, truth) == []
    assert draw_scribbles(np.zeros_like(truth), np.zeros_like(truth)) == []


def test_the_corner_of_the_picture_is_not_added_to_a_small_error() -> None:
    """There nothing of a disc with a radius of little more than 1 is in the picture."""
    error = np.zeros((40, 60), bool)
    error[25:27, 5:57] = True  # 104 pixels: the radius is 1.02
    assert _open(error).any() and not _open(error)[:5, :5].any()


def test_a_path_of_many_pixels_is_taken_as_it_is() -> None:
    truth = np.zeros((12, 1300), np.uint8)
    truth[3:10] = 1
    (scribble,) = draw_scribbles(np.zeros_like(truth), truth)
    assert len(scribble.path) > 1000
    steps = np.abs(np.diff(scribble.path * (1300, 12), axis=0)).max(1)
    np.testing.assert_allclose(steps, 1)


def test_sizes_that_differ() -> None:
    with pytest.raises(ValueError, match="shapes"):
        draw_scribbles(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8))
