"""Generated videos: deterministic, physical, and shaped like the real ones."""

import subprocess
import sys

import numpy as np
import pytest

from vps_d2.data.synthetic import SyntheticOptions, generate_video, simulate, video_seed
from vps_d2.data.world import CONTACT_RADIUS, RADIUS, Camera

SMALL = SyntheticOptions(height=32, width=48)


def test_a_video_has_frames_masks_and_a_scene_that_agree():
    video = generate_video(3, SMALL)
    assert video.frames.shape == (22, 32, 48, 3) and video.frames.dtype == np.uint8
    assert video.masks.shape == (22, 32, 48) and video.masks.dtype == np.uint8
    classes = {body.class_id for body in video.scene.bodies}
    assert set(np.unique(video.masks)) <= classes | {0}
    assert 3 <= len(video.scene.bodies) <= 6
    assert len(classes) == len(video.scene.bodies)


def test_a_seed_is_a_video():
    first, again, other = (generate_video(seed, SMALL) for seed in (5, 5, 6))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.frames, other.frames)


def test_seeds_of_data_sets_do_not_meet():
    assert video_seed(0, 9_999_999) < video_seed(1, 0)


@pytest.fixture(scope="module")
def scenes():
    return [simulate(seed) for seed in range(25)]


def test_objects_stay_on_the_floor_and_apart(scenes):
    for scene in scenes:
        assert np.abs(scene.positions[..., 2] - RADIUS).max() < 0.1
        gaps = scene.positions[:, :, None] - scene.positions[:, None]
        distance = np.linalg.norm(gaps, axis=-1) + 10 * np.eye(len(scene.bodies))
        assert distance.min() > 2 * CONTACT_RADIUS - 0.05


def test_some_rest_some_come_in_and_momentum_passes_on(scenes):
    speeds = [np.linalg.norm(scene.velocities, axis=-1) for scene in scenes]
    for speed in speeds:
        assert (speed[0] < 0.01).any() and (speed[0] > 1).any()
    assert sum((speed[-1][speed[0] < 0.01] > 0.1).any() for speed in speeds) > 5


def test_a_sphere_rolls_on_where_a_cube_has_stopped(scenes):
    final = {"sphere": [], "cube": []}
    for scene in scenes:
        for index, body in enumerate(scene.bodies):
            if body.shape in final and np.linalg.norm(scene.velocities[0, index]) > 1:
                final[body.shape].append(np.linalg.norm(scene.velocities[-1, index]))
    assert np.mean(final["sphere"]) > 1.2 * np.mean(final["cube"])


def test_about_half_rest_and_the_others_are_as_fast_as_in_clevrer(scenes):
    speeds = np.concatenate([np.linalg.norm(scene.velocities[0], axis=-1) for scene in scenes])
    moves = speeds > 0.01
    assert 0.35 < moves.mean() < 0.65
    assert speeds[moves].min() > 3.74 and speeds[moves].max() < 4.18


def test_the_camera_moves_only_when_asked():
    assert simulate(1).camera == Camera()
    cameras = {simulate(seed, SyntheticOptions(camera_jitter=1.0)).camera for seed in range(3)}
    assert len(cameras) == 3


def test_a_projected_point_lies_on_its_ray():
    camera = Camera()
    point = np.array([1.5, 9.0, 0.3])
    column, row, _ = camera.project(point, 160, 240)
    ray = camera.rays(np.array(column), np.array(row), 160, 240)
    toward = (point - camera.position) / np.linalg.norm(point - camera.position)
    assert np.allclose(ray, toward)


def test_scene_json_tells_every_object_at_every_frame():
    scene = simulate(2)
    content = scene.to_json()
    assert content["seed"] == 2
    for entry, body in zip(content["objects"], scene.bodies, strict=True):
        assert entry["class_id"] == body.class_id
        assert np.shape(entry["position"]) == (22, 3)
        assert np.shape(entry["velocity"]) == (22, 3)
        assert np.shape(entry["orientation"]) == (22, 4)


def test_no_torch_is_needed():
    code = "import vps_d2.data.synthetic, sys; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
