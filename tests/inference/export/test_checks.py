import numpy as np
import pytest

from vps_d2.inference.export.checks import difference_of

INFINITE = float("inf")


def test_differences_are_shares_of_the_largest_value() -> None:
    wanted = np.array([-200.0, 1.0])
    assert difference_of(wanted, wanted + 0.02) == pytest.approx(1e-4)
    assert difference_of(wanted / 1000, wanted / 1000 + 0.02) == pytest.approx(0.02)


def test_infinities_have_their_places() -> None:
    wanted = np.array([-np.inf, 1.0, np.nan])
    assert difference_of(wanted, wanted.copy()) == 0
    assert difference_of(wanted, np.array([np.inf, 1.0, np.nan])) == INFINITE
    assert difference_of(np.ones(3), wanted) == INFINITE
    assert difference_of(wanted, np.ones(3)) == INFINITE


def test_shapes_types_and_whole_numbers_are_equal() -> None:
    numbers = np.array([1, 2])
    assert difference_of(numbers, numbers) == 0
    assert difference_of(numbers, numbers + 1) == 1
    assert difference_of(numbers, np.array([1, 3])) == 0.5  # the share of those that differ
    assert difference_of(np.ones(2), np.ones((2, 1))) == INFINITE
    assert difference_of(np.ones(2), np.ones(2, np.float32)) == INFINITE
    assert difference_of(np.ones((0, 4)), np.ones((0, 4))) == 0
