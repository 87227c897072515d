import numpy as np
import pytest

from vps_d2.data.tracks import MAX_OBJECTS, join_confused, read_outlines


def masks_with(*boxes: tuple[int, int, int, int, int, int], frames=3, height=160, width=240):
    """Rectangles given as frame, class number, left, top, right, bottom."""
    masks = np.zeros((frames, height, width), np.uint8)
    for frame, number, left, top, right, bottom in boxes:
        masks[frame, top:bottom, left:right] = number
    return masks


def test_a_rectangle_is_measured_in_widths_from_the_middle():
    class_ids, outlines = read_outlines(masks_with((1, 7, 120, 80, 140, 90)))
    assert class_ids.tolist() == [7]
    expected = np.array([20 * 10 / 240, 10, 5, 0, 0, 20, 10]) / 240
    np.testing.assert_allclose(outlines[0, 1], expected, rtol=1e-6)
    assert not outlines[0, [0, 2]].any()


def test_the_largest_object_comes_first():
    class_ids, _ = read_outlines(masks_with((0, 3, 0, 0, 9, 9), (0, 40, 50, 0, 90, 40)))
    assert class_ids.tolist() == [40, 3]


def test_patches_of_a_few_pixels_are_not_seen():
    class_ids, outlines = read_outlines(
        masks_with((0, 5, 0, 0, 2, 3), (1, 5, 30, 30, 50, 50), (2, 9, 0, 0, 3, 3))
    )
    assert class_ids.tolist() == [5]
    assert (outlines[0, :, 0] > 0).tolist() == [False, True, False]


def test_no_object():
    class_ids, outlines = read_outlines(masks_with())
    assert class_ids.shape == (0,) and outlines.shape == (0, 3, 7)


def test_more_objects_than_wanted_leave_out_the_smallest():
    boxes = [(0, number, 20 * number, 0, 20 * number + 5 + number, 9) for number in range(1, 9)]
    class_ids, _ = read_outlines(masks_with(*boxes))
    assert class_ids.tolist() == list(range(8, 8 - MAX_OBJECTS, -1))


@pytest.mark.parametrize("scale", [2, 3])
def test_resolution_does_not_matter(scale):
    masks = masks_with((0, 2, 10, 20, 40, 60), (2, 2, 60, 100, 100, 160))
    large = masks.repeat(scale, 1).repeat(scale, 2)
    for small_part, large_part in zip(read_outlines(masks), read_outlines(large), strict=True):
        np.testing.assert_allclose(small_part, large_part, atol=1e-6)


def moving(number: int, frames: range, start: int = 20, speed: int = 4, top: int = 40):
    """Boxes of an object of a class that moves to the right."""
    return [
        (frame, number, start + speed * frame, top, start + speed * frame + 20, top + 20)
        for frame in frames
    ]


def test_a_class_that_takes_the_place_of_another_for_some_frames_is_that_object():
    true = masks_with(*moving(3, range(11)), frames=11)
    for confused in ([4, 5], [0], [9, 10], [5, 6, 7, 8]):
        masks = true.copy()
        masks[confused] = np.where(masks[confused] == 3, 19, 0)
        np.testing.assert_array_equal(join_confused(masks), true)


def test_two_classes_on_one_object_become_that_seen_more_often():
    masks = masks_with(*moving(3, range(11)), frames=11)
    masks[6:9, 50:] = np.where(masks[6:9, 50:] == 3, 5, 0)
    assert set(np.unique(join_confused(masks))) == {0, 3}


def test_objects_of_their_own_stay():
    masks = masks_with(
        *moving(3, range(11)),
        *moving(19, range(8, 11), top=70),  # comes in beside it
        *moving(30, range(2), start=150, speed=0),  # leaves when it is far
        frames=11,
    )
    np.testing.assert_array_equal(join_confused(masks), masks)


@pytest.mark.parametrize("boxes", [[], moving(7, range(3, 5))])
def test_with_one_object_or_none_nothing_is_joined(boxes):
    masks = masks_with(*boxes, frames=11)
    np.testing.assert_array_equal(join_confused(masks), masks)


def test_classes_of_any_number_are_joined():
    masks = masks_with(*moving(200, range(8)), *moving(254, range(8, 9)), frames=9)
    joined = join_confused(masks)
    assert set(np.unique(joined)) == {0, 200} and np.array_equal(joined > 0, masks > 0)
