"""Strokes and errors made from the true mask of an object."""

import numpy as np
import pytest

from vps_d2.data.vos.simulated_strokes import (
    StrokeMaps,
    center_of,
    correct,
    first_strokes,
    largest_part,
    spoil,
)

SIZE = (64, 80)


def square(top=16, left=20, side=24):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def empty():
    return StrokeMaps(np.zeros(SIZE, bool), np.zeros(SIZE, bool))


@pytest.mark.parametrize("seed", range(30))
def test_first_strokes_say_the_truth(seed):
    mask = square()
    maps = first_strokes(np.random.default_rng(seed), mask)
    assert maps.positive.any() and not (maps.positive & ~mask).any()
    assert not (maps.negative & mask).any()


def test_strokes_are_of_all_kinds():
    maps = [first_strokes(np.random.default_rng(seed), square()) for seed in range(60)]
    areas = np.array([each.positive.sum() for each in maps])
    assert areas.min() < 20 and areas.max() > 120
    without = np.mean([not each.negative.any() for each in maps])
    assert 0.2 < without < 0.8
    rows = np.any([each.negative for each in maps], 0).any(1)
    assert rows.mean() > 0.9  # around the object and far from it


def test_an_object_that_fills_the_picture_gets_no_negative_stroke():
    whole = np.ones(SIZE, bool)
    for seed in range(10):
        assert not first_strokes(np.random.default_rng(seed), whole).negative.any()


@pytest.mark.parametrize("seed", range(10))
def test_corrections_lie_on_the_largest_error(seed):
    truth, mask = square(), square(left=30)
    missed, wrong = truth & ~mask, mask & ~truth
    mask[:3, :3] = True  # a small error
    maps = correct(np.random.default_rng(seed), truth, mask, empty())
    drawn = maps.positive | maps.negative
    assert drawn.any() and not (drawn & ~(missed | wrong)).any()
    assert not (maps.positive & ~missed).any()


def test_corrections_come_on_top_of_earlier_strokes():
    truth, mask = square(), np.ones(SIZE, bool)
    before = StrokeMaps(truth.copy(), ~truth)
    maps = correct(np.random.default_rng(0), truth, mask, before)
    assert np.array_equal(maps.positive, truth) and not (maps.positive & maps.negative).any()
    assert maps.positive is not before.positive and before.negative.sum() == (~truth).sum()


def test_a_good_mask_is_not_corrected():
    truth = square()
    mask = truth.copy()
    mask[16, 20:28] = False  # 8 pixels
    maps = correct(np.random.default_rng(0), truth, mask, empty())
    assert not maps.positive.any() and not maps.negative.any()


def test_spoiled_masks_have_errors_of_both_kinds_and_still_show_the_object():
    truth, others = square(), square(left=50)
    ious, missing, extra, taken = [], 0, 0, 0
    for seed in range(40):
        mask = spoil(np.random.default_rng(seed), truth, others)
        ious.append((mask & truth).sum() / (mask | truth).sum())
        missing += (truth & ~mask).sum() > 20
        extra += (mask & ~truth).sum() > 20
        taken += (mask & others).sum() > 20
    assert missing > 10 and extra > 10 and taken > 5
    assert 0.35 < np.median(ious) < 0.95


def test_the_center_of_a_region_is_far_from_its_border_and_that_of_the_picture():
    region = np.zeros(SIZE, bool)
    region[:21, :60] = True
    row, column = center_of(region)
    assert row in (9, 10, 11) and 9 <= column <= 50
    region = np.zeros(SIZE, bool)
    region[5, 7] = True
    assert center_of(region) == (5, 7)


def test_the_largest_part_of_a_region():
    region = square() | square(0, 60, 8)
    assert np.array_equal(largest_part(region), square())
    assert not largest_part(np.zeros(SIZE, bool)).any()
