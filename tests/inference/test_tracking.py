import numpy as np
import pytest
import torch

from vps_d2.d2.structures import Instances
from vps_d2.inference.tracking import Tracker, add_appearance, iou_matrix, shrink_masks

SIZE = (60, 80)


def box_mask(x, y, width=12, height=12, size=SIZE):
    mask = np.zeros(size, bool)
    mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return mask


def make(masks, classes=None, scores=None, size=SIZE, **fields):
    masks = np.stack(masks) if len(masks) else np.zeros((0, *size), bool)
    count = len(masks)
    tensors = {name: torch.as_tensor(values) for name, values in fields.items()}
    return Instances(
        size,
        pred_masks=torch.from_numpy(masks),
        pred_classes=torch.tensor(classes if classes is not None else [0] * count),
        scores=torch.tensor(scores if scores is not None else [0.9] * count),
        **tensors,
    )


def ids(tracked):
    return tracked.track_ids.tolist()


def test_objects_keep_their_identity_when_the_order_changes():
    tracker = Tracker()
    first = tracker.step(make([box_mask(5, 5), box_mask(50, 40)], scores=[0.9, 0.8]))
    assert ids(first) == [1, 2]
    second = tracker.step(make([box_mask(48, 39), box_mask(8, 6)], scores=[0.95, 0.7]))
    assert ids(second) == [2, 1]
    assert second.scores.tolist() == pytest.approx([0.95, 0.7])


def test_a_fast_object_is_followed_by_its_speed():
    tracker = Tracker()
    for step in range(4):
        found = tracker.step(make([box_mask(2 + 15 * step, 20), box_mask(60 - 15 * step, 40)]))
        assert sorted(ids(found)) == [1, 2]
    assert found.pred_masks[ids(found).index(1)].numpy()[20, 50]


def test_a_new_object_opens_a_track_if_its_score_is_high_enough():
    tracker = Tracker(min_new_score=0.5)
    assert ids(tracker.step(make([box_mask(5, 5)], scores=[0.4]))) == []
    assert ids(tracker.step(make([box_mask(5, 5)], scores=[0.6]))) == [1]
    assert ids(tracker.step(make([box_mask(6, 5)], scores=[0.2]))) == [1]


@pytest.mark.parametrize("absent, expected", [(30, [1]), (31, [2])])
def test_a_lost_track_is_found_for_some_frames(absent, expected):
    tracker = Tracker(memory=31)
    tracker.step(make([box_mask(5, 5)], appearance=[[1.0, 0.0]]))
    for _ in range(absent):
        assert ids(tracker.step(make([]))) == []
    assert ids(tracker.step(make([box_mask(7, 7)], appearance=[[1.0, 0.0]]))) == expected


def test_the_memory_is_that_of_the_tracks_that_can_come_back():
    tracker = Tracker(memory=3)
    for step in range(50):
        tracker.step(make([box_mask(5, 5) if step % 10 == 0 else box_mask(50, 30)], [step % 10]))
        assert len(tracker._tracks) <= 5


def test_a_lost_object_is_told_by_its_colors_and_not_by_its_place():
    tracker = Tracker()
    red, blue = [1.0, 0.0], [0.0, 1.0]
    tracker.step(make([box_mask(5, 5), box_mask(50, 40)], appearance=[red, blue]))
    tracker.step(make([]))
    back = tracker.step(make([box_mask(28, 22)], appearance=[blue]))
    assert ids(back) == [2]


def test_embeddings_tell_objects_that_change_places():
    tracker = Tracker()
    one, two = [1.0, 0.1, 0.0], [0.0, 0.1, 1.0]
    tracker.step(make([box_mask(20, 20), box_mask(36, 20)], embeddings=[one, two]))
    swapped = tracker.step(make([box_mask(20, 20), box_mask(36, 20)], embeddings=[two, one]))
    assert ids(swapped) == [2, 1]


def test_of_two_masks_of_one_object_the_better_one_is_kept():
    tracker = Tracker()
    masks = [box_mask(20, 20), box_mask(20, 20, 12, 13), box_mask(60, 20)]
    found = tracker.step(make(masks, [3, 4, 5], [0.7, 0.8, 0.9]))
    assert found.pred_classes.tolist() == [5, 4] and ids(found) == [1, 2]


def test_two_objects_that_touch_are_not_a_third_one():
    tracker = Tracker()
    masks = [box_mask(20, 20), box_mask(32, 20), box_mask(20, 20, 24, 12)]
    assert len(tracker.step(make(masks, scores=[0.9, 0.8, 0.7]))) == 2
    # A small object in front of a large one is an object of its own.
    apart = [box_mask(10, 10, 40, 40), box_mask(20, 20, 8, 8)]
    assert len(Tracker().step(make(apart, scores=[0.9, 0.8]))) == 2


def test_no_instance_and_empty_masks():
    tracker = Tracker()
    assert ids(tracker.step(make([]))) == []
    assert ids(tracker.step(make([np.zeros(SIZE, bool)]))) == []
    assert ids(tracker.step(make([box_mask(5, 5)]))) == [1]


def test_other_fields_are_kept():
    found = Tracker().step(make([box_mask(5, 5), box_mask(40, 5)], scores=[0.6, 0.9], place=[7, 8]))
    assert found.place.tolist() == [8, 7]


def test_appearance_is_that_of_the_pixels_inside():
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[:, 40:] = (255, 0, 0)
    masks = [box_mask(5, 5), box_mask(60, 5), box_mask(34, 5), np.zeros(SIZE, bool)]
    rows = add_appearance(make(masks), picture).appearance.numpy()
    assert np.square(rows).sum(1) == pytest.approx([1, 1, 1, 0])
    assert rows[0] @ rows[1] == pytest.approx(2 / 3)  # green and blue are alike
    assert rows[0] @ rows[2] == pytest.approx(2 / 3 + np.sqrt(0.5) / 3)


def test_small_objects_of_large_frames_stay():
    masks = np.zeros((2, 1000, 1500), bool)
    masks[0, 501:503, 501:503] = masks[1, 100:900, 100:900] = True
    small = shrink_masks(masks)
    assert small.shape[1] <= 96 and small.any((1, 2)).all()
    assert small[1].mean() == pytest.approx(masks[1].mean(), rel=0.05)


def test_iou_matrix():
    first = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], np.float32)
    second = np.array([[0, 1, 1, 0]], np.float32)
    assert iou_matrix(first, second) == pytest.approx(np.array([[1 / 3], [0]]))
