"""Places, yaws and covariances from the silhouettes of made scenes."""

import numpy as np
import pytest

from vps_d2.data.silhouettes import NUM_MEASURES, measure_silhouettes
from vps_d2.data.synthetic.render import render_masks
from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.vps import COLORS, SHAPES, class_id
from vps_d2.data.world import RADIUS, SIZES

SMALL, LARGE = (160, 240), (320, 480)


def measure(frames, size=SMALL, roughness=0.0, seed=3, asked=None):
    """Return masks, class numbers and measures of objects (shape, x, y, yaw) in some frames.

    The objects of all frames are of the same shapes in the same order.
    """
    bodies = tuple(
        Body(shape, "rubber", color, SIZES[shape])
        for (shape, *_), color in zip(frames[0], COLORS, strict=False)
    )
    states = np.array([[state for _, *state in objects] for objects in frames], np.float64)
    positions = np.concatenate([states[..., :2], np.full_like(states[..., :1], RADIUS)], axis=-1)
    quaternions = np.zeros((*positions.shape[:2], 4))
    quaternions[..., 0], quaternions[..., 3] = (
        np.cos(states[..., 2] / 2),
        np.sin(states[..., 2] / 2),
    )
    still, spins = np.zeros_like(positions), np.zeros(positions.shape[:2])
    scene = Scene(seed, bodies, positions, quaternions, still, np.ones(len(bodies)), spins)
    masks = render_masks(scene, SyntheticOptions(*size, mask_roughness=roughness))
    ids = np.array([body.class_id for body in bodies])
    return masks, ids, measure_silhouettes(masks, ids if asked is None else ids[asked])


def place_errors(measures, frames):
    """Return how far places are off, (K, T), in meters."""
    places = np.array([[objects[k][1:3] for objects in frames] for k in range(len(frames[0]))])
    return np.linalg.norm(measures[..., 1:3] - places, axis=-1)


def deviations(measures):
    """Return the largest standard deviation of places, (K, T), in meters."""
    xx, xy, yy = np.moveaxis(measures[..., 5:8].astype(np.float64), -1, 0)
    return np.sqrt(np.linalg.eigvalsh(np.array([[xx, xy], [xy, yy]]).T)[..., 1].T)


def yaw_errors(measures, yaws):
    """Return by how much yaws are off, in degrees, up to a quarter turn."""
    found = np.arctan2(measures[..., 4], measures[..., 3]) / 4
    return np.degrees(np.abs((found - yaws + np.pi / 4) % (np.pi / 2) - np.pi / 4))


PLACES = [(-2.0, 8.0), (0.3, 6.5), (1.5, 9.0), (-0.8, 11.0), (3.0, 12.0), (0.0, 15.0)]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_objects_are_placed_to_centimeters(shape, size):
    frames = [[(shape, x, y, 0.35 * number)] for number, (x, y) in enumerate(PLACES)]
    _, _, measures = measure(frames, size)
    assert measures.shape == (1, len(PLACES), NUM_MEASURES) and measures.dtype == np.float32
    assert (place_errors(measures, frames) < 0.035).all()
    assert (deviations(measures) > 0.003).all() and (deviations(measures) < 0.12).all()
    np.testing.assert_allclose(measures[..., 0], 1, atol=0.04)
    assert not measures[..., 8:].any()
    certain = np.hypot(measures[..., 3], measures[..., 4])
    if shape == "cube":
        assert (yaw_errors(measures, 0.35 * np.arange(len(PLACES))) < 4).all()
        assert (certain > 0.85).all() and (certain <= 1).all()
    else:
        assert not certain.any()


def test_all_yaws_of_a_cube_are_found():
    yaws = np.linspace(0, np.pi, 37)
    frames = [[("cube", 0.7, 8.0, yaw)] for yaw in yaws]
    _, _, measures = measure(frames)
    assert np.median(yaw_errors(measures, yaws)) < 0.8
    assert (yaw_errors(measures, yaws) < 3).all()
    assert (place_errors(measures, frames) < 0.035).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("x", "y"),
    [(-4.0, 8.3), (4.0, 8.2), (0.5, 4.1), (-2.2, 4.3), (1.0, 18.6)],
    ids=["left", "right", "bottom", "corner", "top"],
)
def test_objects_at_the_border_are_placed(shape, x, y):
    frames = [[(shape, x, y, 0.4)]]
    _, _, measures = measure(frames)
    seen, cut = measures[0, 0, [0, 8]]
    assert 0.05 < seen < 0.95 and 0.1 < cut < 0.95
    assert place_errors(measures, frames)[0, 0] < max(0.05, 1.5 * deviations(measures)[0, 0])
    assert deviations(measures)[0, 0] < 0.3
    assert measures[0, 0, 9] == 0


def test_slivers_are_placed_or_known_to_be_unsure():
    ends = np.linspace(3.45, 3.9, 10), np.linspace(4.25, 4.6, 8)
    frames = [[("cylinder", 0.2, y, 0)] for y in ends[0]] + [
        [("cube", x, 7.4, 0.3)] for x in ends[1]
    ]
    for group in (frames[:10], frames[10:]):
        _, _, measures = measure(group)
        seen = measures[..., 0] > 0
        assert seen.any() and (measures[..., 0][seen] < 0.4).all()
        errors, claimed = place_errors(measures, group)[seen], deviations(measures)[seen]
        assert np.count_nonzero(errors > 0.05 + 2.5 * claimed) <= 1
        assert (claimed < 2.1).all()


@pytest.mark.parametrize("farther", SHAPES)
def test_the_farther_of_two_objects_is_placed_behind_the_nearer_one(farther):
    frames = [
        [("cube", 0.0, 7.5, 0.3), (farther, shift, 8.8, 0.5)] for shift in (-0.6, -0.4, 0.4, 0.6)
    ]
    masks, ids, measures = measure(frames)
    _, _, alone = measure([[objects[1]] for objects in frames])
    assert (place_errors(measures, frames) < 0.05).all()
    assert (measures[1, :, 0] < 0.95).all() and (measures[0, :, 0] > 0.96).all()
    assert (measures[:, :, 9] > 0.05).all() and not measures[:, :, 8].any()
    assert (deviations(measures)[1] > deviations(alone)[0]).all()
    # It is hidden in the same way if the nearer one is not asked for.
    only = measure_silhouettes(masks, ids[1:])
    np.testing.assert_allclose(only[0, :, 1:3], measures[1, :, 1:3], atol=0.02)
    np.testing.assert_allclose(only[0, :, 8:], measures[1, :, 8:])


def test_what_is_claimed_holds_on_rough_outlines():
    rng = np.random.default_rng(5)
    squares = []
    for seed, roughness in enumerate((0.3, 0.6, 0.9)):
        frames = [
            [(shape, *place, rng.uniform(0, 6)) for shape, place in zip(SHAPES, spots, strict=True)]
            for spots in np.add(rng.uniform(-0.9, 0.9, (20, 3, 2)), [(-2, 8), (0, 10), (2, 8)])
        ]
        _, _, measures = measure(frames, roughness=roughness, seed=seed)
        truth = np.array([[objects[k][1:3] for objects in frames] for k in range(3)])
        covariance = measures[..., [5, 6, 6, 7]].reshape(3, 20, 2, 2).astype(np.float64)
        gap = (measures[..., 1:3] - truth)[..., None]
        squares.append((gap.swapaxes(2, 3) @ np.linalg.inv(covariance) @ gap).ravel())
    squares = np.concatenate(squares)
    # Quantiles of chi squared with two degrees of freedom.
    assert 0.4 < (squares < 1.39).mean() < 0.9
    assert (squares < 5.99).mean() > 0.85
    assert np.median(squares) > 0.2


def test_a_cube_of_which_a_corner_is_seen_has_no_sure_yaw():
    _, _, measures = measure([[("cube", x, 7.4, 0.8)] for x in (0.0, 4.5)])
    certain = np.hypot(measures[0, :, 3], measures[0, :, 4])
    assert measures[0, 1, 0] > 0
    assert certain[0] > 0.95 and certain[1] < 0.6


def test_objects_that_are_not_seen_have_no_measures():
    masks, ids, measures = measure([[("sphere", 0.0, 8.0, 0)], [("sphere", 30.0, 8.0, 0)]])
    assert measures[0, 0, 0] > 0 and not measures[0, 1].any()
    other = class_id("cube", "metal", "cyan")
    assert not measure_silhouettes(masks, np.array([other])).any()
    assert measure_silhouettes(masks, ids[:0]).shape == (0, 2, NUM_MEASURES)
    assert measure_silhouettes(masks[:0], ids).shape == (1, 0, NUM_MEASURES)
    assert not measure_silhouettes(np.zeros_like(masks), ids).any()


@pytest.mark.parametrize(("size", "smallest"), [(SMALL, 12), (LARGE, 48)])
def test_the_smallest_patches_do_not_count(size, smallest):
    number = class_id("sphere", "rubber", "red")
    for count in (smallest - 1, smallest):
        masks = np.zeros((1, *size), np.uint8)
        masks[0, 40, 60 : 60 + count] = number
        assert (measure_silhouettes(masks, np.array([number]))[0, 0, 0] > 0) == (count == smallest)


def test_any_masks_give_finite_measures():
    rng = np.random.default_rng(0)
    numbers = np.array([class_id(shape, "metal", "red") for shape in SHAPES])
    noise = rng.choice([0, *numbers, 255], (3, 40, 60)).astype(np.uint8)
    full = np.full((1, 40, 60), numbers[0], np.uint8)
    strips = np.zeros((1, 40, 60), np.uint8)
    strips[0, 0], strips[0, -1], strips[0, :, -1] = numbers
    for masks in (noise, full, strips):
        measures = measure_silhouettes(masks, numbers)
        assert np.isfinite(measures).all() and measures[..., 0].any()
        seen = measures[..., 0] > 0
        assert (deviations(measures)[seen] < 2.1).all() and (deviations(measures)[seen] > 0).all()
        assert (measures[..., 8:] >= 0).all() and (measures[..., 8:].sum(-1) < 1.001).all()
