"""Pictures and masks of scenes that are made by hand."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vps_d2.data.synthetic.background import empty_floor
from vps_d2.data.synthetic.render import render, render_masks
from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.vps import COLORS, MATERIALS, SHAPES, class_id
from vps_d2.data.world import MASK_SIZES, RADIUS, SIZES

PLAIN = SyntheticOptions()


def make_scene(*objects, num_frames=2, seed=3):
    """Return objects (shape, material, color, x, y) that stand still on the floor."""
    bodies = tuple(Body(*names, SIZES[names[0]]) for *names, _, _ in objects)
    places = [(x, y, RADIUS) for *_, x, y in objects]
    positions = np.tile(np.array(places).reshape(1, -1, 3), (num_frames, 1, 1))
    quaternions = np.tile(np.array([1.0, 0, 0, 0]), (num_frames, len(bodies), 1))
    still, spins = np.zeros_like(positions), np.zeros(positions.shape[:2])
    return Scene(seed, bodies, positions, quaternions, still, np.ones(len(bodies)), spins)


BALL = ("sphere", "rubber", "red", 0.5, 8.0)


def test_an_empty_scene_is_the_empty_floor():
    frames, masks = render(make_scene(), PLAIN)
    assert frames.shape == (2, 160, 240, 3) and frames.dtype == np.uint8
    assert masks.shape == (2, 160, 240) and masks.dtype == np.uint8
    assert not masks.any()
    assert np.abs(frames - empty_floor(160, 240)).max() < 4
    # Measured on the real videos.
    np.testing.assert_allclose(frames.mean((0, 1, 2)), (132.1, 131.9, 131.1), atol=1)


@pytest.mark.parametrize("size", [(160, 240), (80, 120)])
def test_a_ball_lies_where_the_camera_sees_it(size):
    scene = make_scene(BALL)
    mask = render_masks(scene, SyntheticOptions(*size))[0] > 0
    rows, columns = np.nonzero(mask)
    column, row, depth = scene.camera.project(scene.positions[0, 0], *size)
    assert abs(columns.mean() + 0.5 - column) < 0.6
    assert abs(rows.mean() + 0.5 - row) < 0.6
    radius = scene.camera.focal_length * size[1] * MASK_SIZES["sphere"][0] / depth
    assert mask.sum() == pytest.approx(np.pi * radius**2, rel=0.06)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_holds_what_the_picture_shows(shape):
    frames, masks = render(make_scene((shape, "rubber", "green", -1.0, 8.0)), PLAIN)
    inside = masks[0] == class_id(shape, "rubber", "green")
    assert 200 < inside.sum() < 1000
    greenness = frames[0, ..., 1].astype(int) - frames[0, ..., 0]
    colored = greenness > 20
    assert (colored & inside).sum() > 0.92 * inside.sum()
    assert (colored & ~inside).sum() < 0.15 * inside.sum()


def test_the_nearer_object_hides_the_farther_one_in_any_order():
    near, far = ("cube", "metal", "blue", 0.0, 7.0), ("cube", "rubber", "yellow", 0.0, 8.0)
    alone = render_masks(make_scene(near), PLAIN)[0] > 0
    for objects in ((near, far), (far, near)):
        masks = render_masks(make_scene(*objects), PLAIN)[0]
        assert ((masks == class_id("cube", "metal", "blue")) == alone).all()
        assert (masks == class_id("cube", "rubber", "yellow")).any()


def test_the_same_scene_gives_the_same_bytes():
    scene = make_scene(BALL, ("cube", "metal", "cyan", -1.0, 7.0))
    options = SyntheticOptions.randomized()
    frames, masks = render(scene, options)
    again, masks_again = render(scene, options)
    assert (frames == again).all() and (masks == masks_again).all()
    assert (render_masks(scene, options) == masks).all()
    assert (render_masks(scene, options, [1]) == masks[1:]).all()
    assert (render(replace(scene, seed=4), options)[0] != frames).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("color", COLORS)
def test_metal_has_more_contrast_than_rubber(shape, color):
    spread = {}
    for material in MATERIALS:
        frames, masks = render(make_scene((shape, material, color, 0.0, 7.0), num_frames=1), PLAIN)
        inside = cv2.erode(masks[0], np.ones((3, 3))) > 0
        spread[material] = frames[0][inside].astype(float).mean(-1).std()
    assert spread["metal"] > 1.5 * spread["rubber"]


def test_an_object_throws_a_shadow():
    frames, masks = render(make_scene(BALL), PLAIN)
    darker = empty_floor(160, 240).mean(-1) - frames[0].mean(-1)
    floor = masks[0] == 0
    assert 100 < (darker[floor] > 8).sum() < 2000
    far_away = np.zeros((160, 240), bool)
    far_away[:, :40] = True
    assert np.abs(darker[far_away]).max() < 5


def test_an_object_out_of_view_is_not_seen():
    for x, y in ((0.0, -5.0), (30.0, 8.0), (0.0, 0.0), (0.0, 2.0)):
        frames, masks = render(make_scene(("cylinder", "metal", "gray", x, y)), PLAIN)
        assert not masks.any()
        assert np.isfinite(frames).all()


def test_an_object_at_the_edge_is_cut():
    whole = render_masks(make_scene(("sphere", "metal", "red", 0.0, 8.0)), PLAIN)
    cut = render_masks(make_scene(("sphere", "metal", "red", 4.2, 8.0)), PLAIN)
    assert 0 < (cut > 0).sum() < 0.9 * (whole > 0).sum()
    assert (cut[..., -1] > 0).any()


@pytest.mark.parametrize("name", ["light_jitter", "color_jitter", "noise"])
def test_jitter_changes_frames_and_not_masks(name):
    scene = make_scene(BALL)
    frames, masks = render(scene, PLAIN)
    changed, same_masks = render(scene, replace(PLAIN, **{name: 1.0}))
    assert (masks == same_masks).all()
    difference = np.abs(changed.astype(int) - frames).mean(axis=(0, 1, 2))
    assert difference.max() > 0.1 and difference.max() < 60


def test_roughness_moves_the_outline_by_about_so_many_pixels():
    scene = make_scene(BALL, num_frames=12)
    smooth = render_masks(scene, PLAIN)
    rough = render_masks(scene, replace(PLAIN, mask_roughness=1.0))
    perimeter = 2 * np.sqrt(np.pi * (smooth[0] > 0).sum())
    moved = (smooth != rough).sum(axis=(1, 2)).mean() / perimeter
    assert 0.2 < moved < 1.5
    assert (rough[0] != rough[1]).any()
    assert set(np.unique(rough)) == set(np.unique(smooth))


@pytest.mark.parametrize(("shape", "place"), [("sphere", 0.35), ("cube", 0.5), ("cylinder", 0.5)])
def test_the_floor_takes_some_of_the_color_of_what_stands_on_it(shape, place):
    scenes = [
        make_scene((shape, "rubber", color, 0.5, 8.0), num_frames=1) for color in ("red", "gray")
    ]
    red, gray = (render(scene, PLAIN)[0][0].astype(float) for scene in scenes)
    column, row, _ = scenes[0].camera.project(np.array([0.5, 8.0 - place, 0.0]), 160, 240)
    spot = (slice(int(row) - 1, int(row) + 2), slice(int(column) - 2, int(column) + 3))
    assert (render_masks(scenes[0], PLAIN)[0][spot] == 0).all()
    change = (red - gray)[spot].mean(axis=(0, 1))
    assert change[0] > 2 and change[1] < -1
    assert np.abs(red - gray)[:, :40].max() < 1


def test_it_is_dark_where_a_sphere_touches_the_floor():
    scene = make_scene(BALL, num_frames=1)
    frames, masks = render(scene, PLAIN)
    share = frames[0].mean(-1) / empty_floor(160, 240).mean(-1)
    column, row, _ = scene.camera.project(np.array([0.5, 7.75, 0.0]), 160, 240)
    below = (int(row), int(column))
    assert masks[0][below] == 0
    assert share[below] < 0.93
    assert share[below[0] + 12, below[1]] > 0.97
