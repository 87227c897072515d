"""Rendered frames against generated ones, whose motion is known."""

import numpy as np
import pytest

from tests.inference.object_frames.made import Thing, film, motion, thing
from vps_d2.data.synthetic.background import empty_floor
from vps_d2.data.vps import class_id
from vps_d2.inference.object_frames.renderer import render_frames
from vps_d2.inference.object_frames.scene import SceneMotion, draw_masks, measure_motion

INPUT, FUTURE = slice(0, 3), slice(3, 6)
Made = tuple[np.ndarray, np.ndarray, np.ndarray]


def predict(things: list[Thing], size: tuple[int, int] = (80, 120)) -> Made:
    """Return rendered and true frames 4-6, and their masks, of objects seen in frames 1-3."""
    frames, masks = film(things, size)
    known, sights = measure_motion(masks[INPUT], np.array([each.class_id for each in things]))
    made = render_frames(frames[INPUT], known, sights, motion(things, masks, FUTURE))
    assert made.shape == frames[FUTURE].shape and made.dtype == np.uint8
    return made, frames[FUTURE], masks[FUTURE]


def error(made: np.ndarray, true: np.ndarray, where: np.ndarray) -> float:
    """Return the mean squared error in some pixels ``(T, H, W)``."""
    return float(((made.astype(float) - true) ** 2).mean(axis=-1)[where].mean())


@pytest.mark.parametrize("size", [(80, 120), (66, 101)])
@pytest.mark.parametrize("kind", ["red rubber cube", "cyan metal sphere", "brown rubber cylinder"])
def test_moving_objects_look_as_they_will(kind: str, size: tuple[int, int]) -> None:
    moving, still = (
        thing(kind, (-1.5, 7.0), (1.5, 8.0), turn=0.5),
        thing("blue metal cylinder", (2.5, 11.0), (2.5, 11.0)),
    )
    made, true, masks = predict([moving, still], size)
    assert error(made, true, masks == 0) < 1.5  # shadows move along, and leave no traces
    inside = masks == moving.class_id
    floor = np.broadcast_to(empty_floor(*size), true.shape)
    assert error(made, true, inside) < 0.15 * error(floor, true, inside)
    assert error(made, true, masks == still.class_id) < 150


def test_objects_fill_their_masks_and_nothing_else() -> None:
    things = [thing("yellow rubber sphere", (-1.0, 7.0), (1.0, 7.0))]
    frames, masks = film(things)
    known, sights = measure_motion(masks[INPUT], np.array([things[0].class_id]))
    future = motion(things, masks, FUTURE)
    future.masks[:] = 0
    future.masks[1, 40:47, 20:31] = things[0].class_id  # no sphere, and not where it is
    made = render_frames(frames[INPUT], known, sights, future)
    blue = made[..., 2].astype(int) - made[..., 0]
    assert (blue[1][future.masks[1] > 0] < -25).all()
    beside = np.zeros(masks.shape[1:], bool)
    beside[38:49, 18:33] = True
    assert (blue[1][~beside] > -18).all() and (blue[[0, 2]] > -18).all()


def test_single_pixels_of_an_object_are_no_object() -> None:
    things = [thing("yellow rubber sphere", (-1.0, 7.0), (1.0, 7.0))]
    frames, masks = film(things)
    known, sights = measure_motion(masks[INPUT], np.array([things[0].class_id]))
    future = motion(things, masks, FUTURE)
    future.masks[:] = 0
    future.masks[2, 40, 60] = things[0].class_id
    made = render_frames(frames[INPUT], known, sights, future)
    assert (made[2, 40, 60].astype(int) - made[2, 40, 58]).max() < 8


def test_turned_cubes_are_turned() -> None:
    turning = thing("purple rubber cube", (0.0, 7.0), (0.0, 7.0), turn=1.2)
    made, true, masks = predict([turning])
    frames, _ = film([turning])
    frozen = np.repeat(frames[2:3], 3, axis=0)
    inside = masks > 0
    assert error(made, true, inside) < 0.5 * error(frozen, true, inside)


def test_nothing_is_left_of_an_object_that_leaves() -> None:
    leaving = thing("green rubber cylinder", (2.2, 7.0), (5.2, 7.0))
    made, true, masks = predict([leaving])
    assert (masks[0] > 0).any() and not masks[2].any()
    assert np.abs(made[2].astype(int) - true[2]).max() < 8


def test_without_objects_the_floor_stays() -> None:
    frames, masks = film([thing("red rubber cube", (0.0, -9.0), (0.0, -9.0))])
    known, sights = measure_motion(masks[INPUT], np.zeros(0, np.int64))
    assert known.places.shape == (0, 3, 2) and sights.areas.shape == (0, 3)
    made = render_frames(frames[INPUT], known, sights, motion_of_none(masks[FUTURE]))
    assert error(made, frames[FUTURE], masks[FUTURE] == 0) < 1


def motion_of_none(masks: np.ndarray) -> SceneMotion:
    return SceneMotion(np.zeros(0, np.int64), np.zeros((0, 3, 2)), np.zeros((0, 3)), masks)


def test_what_was_never_seen_has_the_color_of_its_class() -> None:
    hidden = thing("blue rubber cube", (9.0, 5.0), (9.0, 5.0), count=3)
    shown = thing("blue rubber cube", (0.0, 7.0), (0.0, 7.0), count=3)
    entering = shown._replace(
        places=np.concatenate([hidden.places, shown.places]), yaws=np.full(6, 0.4)
    )
    made, true, masks = predict([entering])
    inside = masks > 0
    assert inside.any() and error(made, true, inside) < 300


def test_a_cut_object_is_completed_when_it_comes_in() -> None:
    entering = thing("cyan rubber cylinder", (-4.4, 7.0), (-2.5, 7.0))
    _, masks = film([entering])
    assert (masks[2][:, 0] > 0).any() and not (masks[5][:, 0] > 0).any()
    made, true, masks = predict([entering])
    assert error(made, true, masks > 0) < 150


def test_an_object_that_another_covers_is_completed() -> None:
    behind = thing("red rubber sphere", (0.5, 9.0), (3.0, 9.0))
    front = thing("gray metal cube", (0.3, 7.5), (0.3, 7.5))
    made, true, masks = predict([behind, front])
    inside = masks == class_id("sphere", "rubber", "red")
    assert inside.any() and error(made, true, inside) < 200


def test_silhouettes_are_where_generated_masks_are() -> None:
    things = [
        thing("red rubber cube", (-1.5, 6.0), (1.5, 7.0), turn=1.0),
        thing("cyan metal sphere", (1.0, 9.0), (-1.0, 8.0)),
        thing("brown rubber cylinder", (4.0, 9.0), (7.0, 9.0)),
    ]
    _, masks = film(things)
    places = np.stack([each.places for each in things])
    places[2, :2] = np.nan
    yaws = np.stack([each.yaws for each in things])
    drawn = draw_masks(np.array([each.class_id for each in things]), places, yaws, (80, 120))
    for number, each in enumerate(things):
        for index in range(6):
            made, true = drawn[index] == each.class_id, masks[index] == each.class_id
            if number == 2 and index < 2:
                assert not made.any()
            elif true.any():
                assert (made & true).sum() > 0.8 * (made | true).sum()
    assert not draw_masks(
        np.array([1]), np.array([[[0.0, -3.0]]]), np.zeros((1, 1)), (80, 120)
    ).any()
