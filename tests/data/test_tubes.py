"""The class of a tube."""

import pytest

from vps_d2.data.tubes import elect_class


@pytest.mark.parametrize(
    ("votes", "elected"),
    [({7: 0.5}, 7), ({7: 0.5, 2: 0.4}, 7), ({7: 0.5, 2: 0.5, 4: 0.5}, 2), ({2: 0.5, 7: 0.6}, 7)],
)
def test_the_class_with_the_largest_sum_of_scores_or_the_lowest_of_equal_ones(
    votes: dict[int, float], elected: int
) -> None:
    assert elect_class(votes) == elected
