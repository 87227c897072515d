"""Strokes: what they cover, and what is no stroke."""

import json
import math

import numpy as np
import pytest

from vps_d2.data.strokes import CLICK_RADIUS, Stroke, draw_strokes
from vps_d2.io.errors import UserError

SIZE = (40, 60)


def test_a_click_is_a_disc():
    positive, negative = draw_strokes([Stroke(((30.5, 20.5),), tool="click")], SIZE)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    far = np.hypot(rows - 20, columns - 30)
    assert positive[far <= CLICK_RADIUS - 1].all() and not positive[far >= CLICK_RADIUS + 1].any()
    assert not negative.any()


def test_a_scribble_is_a_line_as_wide_as_the_pen():
    positive, _ = draw_strokes([Stroke(((10.5, 20.5), (50.5, 20.5)), radius=3)], SIZE)
    assert positive[18:23, 10:51].all() and not positive[:16].any() and not positive[26:].any()
    assert not positive[:, :6].any() and not positive[:, 55:].any()


@pytest.mark.parametrize("point", [(0, 0), (59.99, 39.99), (17.2, 8.9)])
def test_the_finest_pen_marks_the_pixel_under_it(point):
    positive, _ = draw_strokes([Stroke((point,), radius=0.5)], SIZE)
    assert positive.sum() == 1 and positive[int(point[1]), int(point[0])]


def test_a_later_stroke_covers_an_earlier_one():
    strokes = [Stroke(((5, 5), (50, 5))), Stroke(((30, 5),), positive=False)]
    positive, negative = draw_strokes(strokes, SIZE)
    assert negative[5, 30] and positive[5, 10] and not (positive & negative).any()
    positive, negative = draw_strokes(strokes[::-1], SIZE)
    assert positive[5, 30]


def test_strokes_outside_of_the_frame_cover_nothing():
    positive, negative = draw_strokes([Stroke(((-500, 90_000),)), Stroke(((200, 200),))], SIZE)
    assert not positive.any() and not negative.any()


def test_json_keeps_a_stroke():
    stroke = Stroke(((1.25, 2.5), (3, 4)), positive=False, radius=2, tool="paint")
    assert Stroke.from_json(json.loads(json.dumps(stroke.to_json()))) == stroke


@pytest.mark.parametrize(
    "changes",
    [
        {"points": []},
        {"points": [[1, 2, 3]]},
        {"points": [[1, math.nan]]},
        {"points": [[1, 1e308]]},
        {"points": [[1, True]]},
        {"points": [[0, 0]] * 10_001},
        {"points": "ab"},
        {"radius": 0},
        {"radius": math.inf},
        {"radius": "5"},
        {"positive": 1},
        {"tool": "hammer"},
        {"tool": ["click"]},
    ],
)
def test_what_is_no_stroke_is_one_sentence(changes):
    with pytest.raises(UserError):
        Stroke.from_json({"points": [[1, 2]], **changes})
    with pytest.raises(UserError):
        Stroke.from_json(None)
