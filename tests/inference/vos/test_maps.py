"""How object maps change their size."""

import numpy as np
import pytest

from vps_d2.inference.vos.maps import decide, shrink_object_map, working_size


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((480, 854), 240, (240, 427)),
        ((854, 480), 240, (427, 240)),
        ((100, 50), None, (100, 50)),
        ((100, 50), 60, (100, 50)),
        ((3000, 2), 1, (1500, 1)),
    ],
)
def test_the_working_size_keeps_the_shape(size, short_side, expected):
    assert working_size(size, short_side) == expected


def test_a_small_object_does_not_get_lost():
    object_map = np.zeros((64, 96), np.uint8)
    object_map[:, 50:] = 2
    object_map[10, 10] = 9
    small = shrink_object_map(object_map, (16, 24))
    assert small.shape == (16, 24) and small[2, 2] == 9 and (small == 9).sum() == 1
    assert (small[:, 13:] == 2).all() and not (small[:, :12] == 2).any()
    assert shrink_object_map(object_map, (64, 96)) is object_map


def test_probabilities_become_a_map_of_the_size_of_the_video():
    probabilities = np.zeros((3, 8, 8), np.float32)
    probabilities[0] = 0.3
    probabilities[1, :, :4], probabilities[2, :, 4:] = 0.7, 0.7
    probabilities[:, 7] = np.array([0.8, 0.2, 0])[:, None]
    object_map, scores = decide(probabilities, [5, 3], (32, 32))
    assert object_map.dtype == np.uint8 and set(np.unique(object_map)) == {0, 3, 5}
    assert (object_map[:26, :16] == 5).all() and (object_map[:26, 16:] == 3).all()
    assert not object_map[30:].any()
    assert scores == {5: 0.7, 3: 0.7}
    probabilities[2] = 0
    assert decide(probabilities, [5, 3], (8, 8))[1][3] == 0
