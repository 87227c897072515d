import pytest
import torch

from tests.modeling.object_dynamics.test_motion import SPHERE, motion, state
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.fits import FITS, fit_tracks, ground_places
from vps_d2.modeling.object_dynamics.motion import Trajectory
from vps_d2.modeling.object_dynamics.replays import REPLAYS, replay_tracks
from vps_d2.modeling.object_dynamics.tracks import Tracks

CAMERA = GroundCamera().requires_grad_(False)
NO_FRICTION = torch.zeros(1, 2)


@pytest.fixture
def hit() -> Trajectory:
    """A sphere that hits another one between the last two of 11 frames."""
    return motion()(state((SPHERE, -3.55, 9, 1.5, 0), (SPHERE, 0.3, 9.1, 0, 0), friction=0.0), 10)


def tracks_of(future: Trajectory, unseen: int = 0) -> Tracks:
    """Outlines of spheres; the second one is not seen in the first ``unseen`` frames."""
    heights = torch.full_like(future.places[..., 0], CENTER_HEIGHT)
    center, depth = CAMERA.project(future.places, heights).split((2, 1), dim=-1)
    half = CAMERA.focal_length * 0.42 / depth
    outlines = torch.cat([4 * half.square(), center, center - half, center + half], dim=-1)
    outlines[:, 1, :unseen] = 0
    return Tracks(torch.tensor([[SPHERE, SPHERE + 1]]), outlines, 2 / 3)


def test_a_collision_just_before_the_end_is_played(hit: Trajectory):
    assert hit.velocities[0, 1, 9].norm() < 1e-3 < 0.5 < hit.velocities[0, 1, 10].norm()
    tracks = tracks_of(hit)
    ground = ground_places(tracks, CAMERA)
    played = replay_tracks(tracks, ground, motion(), NO_FRICTION)
    read = fit_tracks(tracks, ground).velocities[0, :, FITS.index(("slide", 3))]
    true = hit.velocities[0, :, 10]
    assert (played.velocities[0, :, 0] - true).norm(dim=-1).max() < 0.1
    assert (read - true).norm(dim=-1).max() > 0.4
    assert (played.places[0, :, 0] - hit.places[0, :, 10]).norm(dim=-1).max() < 0.05
    assert played.errors[0].max() < 0.05


def test_what_was_not_seen_before_has_an_unknown_error(hit: Trajectory):
    tracks = tracks_of(hit, unseen=10)
    played = replay_tracks(tracks, ground_places(tracks, CAMERA), motion(), NO_FRICTION)
    assert played.places.shape == (1, 2, len(REPLAYS), 2)
    assert (played.errors[0, 1] == 5).all() and played.errors[0, 0].max() < 5
    assert all(each.isfinite().all() for each in played)
