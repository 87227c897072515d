import pytest
import torch

from tests.modeling.object_dynamics.test_motion import SPHERE, motion, state
from vps_d2.modeling.object_dynamics.fits import FITS, Fits
from vps_d2.modeling.object_dynamics.motion import Trajectory
from vps_d2.modeling.object_dynamics.replays import REPLAYS, fit_and_replay
from vps_d2.modeling.object_dynamics.tracks import Tracks


@pytest.fixture
def hit() -> Trajectory:
    """A sphere that hits another one between the last two of 11 frames."""
    return motion()(state((SPHERE, -3.65, 9, 1.5, 0), (SPHERE, 0.3, 9.1, 0, 0)), 10)


def tracks_of(future: Trajectory, unseen: int = 0) -> Tracks:
    """Measures of spheres; the second one is not seen in the first ``unseen`` frames."""
    measures = torch.zeros(*future.pushed.shape, 10)
    measures[..., 0] = 1
    measures[..., 1:3] = future.places
    measures[..., [5, 7]] = 1e-4
    measures[:, 1, :unseen] = 0
    return Tracks(torch.tensor([[SPHERE, SPHERE + 1]]), measures)


def read(tracks: Tracks) -> list[Fits]:
    """Return the curves, and the replays."""
    parts = (each.tensor_split([len(FITS)], dim=2) for each in fit_and_replay(tracks, motion()))
    return [Fits(*each) for each in zip(*parts, strict=True)]


def test_a_collision_just_before_the_end_is_played(hit: Trajectory):
    assert hit.velocities[0, 1, 9].norm() < 1e-3 < 0.5 < hit.velocities[0, 1, 10].norm()
    tracks = tracks_of(hit)
    curves, played = read(tracks)
    read_late = curves.velocities[0, :, FITS.index(("free", 3))]
    true = hit.velocities[0, :, 10]
    assert (played.velocities[0, :, 0] - true).norm(dim=-1).max() < 0.1
    assert (read_late - true).norm(dim=-1).max() > 0.4
    assert (played.places[0, :, 0] - hit.places[0, :, 10]).norm(dim=-1).max() < 0.05
    assert played.errors[0].max() < 0.05


def test_what_was_not_seen_before_has_an_unknown_error(hit: Trajectory):
    _, played = read(tracks_of(hit, unseen=10))
    assert played.places.shape == (1, 2, len(REPLAYS), 2)
    assert (played.errors[0, 1] == 5).all() and played.errors[0, 0].max() < 5
    assert all(each.isfinite().all() for each in played)
