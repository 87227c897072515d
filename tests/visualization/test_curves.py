"""Curves of scores as a picture."""

import io

import numpy as np
from PIL import Image

from vps_d2.visualization.curves import Curve, draw_curves


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_curves_stand_side_by_side_and_show_their_scores() -> None:
    one = read(draw_curves([Curve([0, 1], [0.2, 0.8], "rounds")], "J&F"))
    two = read(draw_curves([Curve([0, 1], [0.2, 0.8], "rounds")] * 2, "J&F"))
    other = read(draw_curves([Curve([0, 1], [0.8, 0.2], "rounds")], "J&F"))
    assert two.shape[1] == 2 * one.shape[1] and two.shape[0] == one.shape[0]
    blue = [(each[..., 2] - each[..., 0] > 60) for each in (one, other)]
    left = slice(0, one.shape[1] // 2)
    rows = [np.nonzero(each[:, left])[0].mean() for each in blue]
    assert rows[0] > rows[1] + 50  # the first curve begins further down


def test_a_point_and_a_caption_are_drawn() -> None:
    plain = draw_curves([Curve([0, 90], [0.2, 0.8], "seconds")], "J&F")
    pointed = draw_curves([Curve([0, 90], [0.2, 0.8], "seconds", point=(60, 0.6))], "J&F")
    caption = draw_curves([Curve([0, 90], [0.2, 0.8], "seconds")], "J&F", "on this machine")
    assert len({plain, pointed, caption}) == 3
    assert draw_curves([Curve([0, 90], [0.2, 0.8], "seconds")], "J&F") == plain
