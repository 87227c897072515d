import pytest
import torch

from tests.modeling.object_dynamics.test_motion import SPHERE, motion, state
from vps_d2.modeling.object_dynamics.fits import FITS, Fits
from vps_d2.modeling.object_dynamics.motion import Trajectory
from vps_d2.modeling.object_dynamics.replays import NUM_READINGS, REPLAYS, fit_and_replay
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
    """Return the curves, the replays, and the corrected replays."""
    readings = fit_and_replay(tracks, motion())
    assert readings.places.shape == (1, 2, NUM_READINGS, 2)
    ends = [len(FITS), len(FITS) + len(REPLAYS)]
    parts = (each.tensor_split(ends, dim=2) for each in readings)
    return [Fits(*each) for each in zip(*parts, strict=True)]


def test_a_collision_just_before_the_end_is_played(hit: Trajectory):
    assert hit.velocities[0, 1, 9].norm() < 1e-3 < 0.5 < hit.velocities[0, 1, 10].norm()
    tracks = tracks_of(hit)
    curves, played, _ = read(tracks)
    read_late = curves.velocities[0, :, FITS.index(("free", 3))]
    true = hit.velocities[0, :, 10]
    assert (played.velocities[0, :, 0] - true).norm(dim=-1).max() < 0.1
    assert (read_late - true).norm(dim=-1).max() > 0.4
    assert (played.places[0, :, 0] - hit.places[0, :, 10]).norm(dim=-1).max() < 0.05
    assert played.errors[0].max() < 0.05


def test_what_was_not_seen_before_has_an_unknown_error(hit: Trajectory):
    _, played, corrected = read(tracks_of(hit, unseen=10))
    assert (played.errors[0, 1] == 5).all() and played.errors[0, 0].max() < 5
    assert all(each.isfinite().all() for each in (*played, *corrected))


def test_a_collision_that_went_otherwise_is_corrected(hit: Trajectory):
    tracks = tracks_of(hit)
    other = torch.tensor([[0.1, -0.2], [-0.1, 0.2]])  # of the velocities after it
    tracks.measures[0, :, -1, 1:3] += other * hit.since[0, :, -1:]
    _, played, corrected = read(tracks)
    true = hit.velocities[0, :, 10] + other
    assert (played.velocities[0, :, 0] - true).norm(dim=-1).min() > 0.15
    assert (corrected.velocities[0, :, 0] - true).norm(dim=-1).max() < 0.06


def test_what_is_not_seen_at_last_is_not_corrected(hit: Trajectory):
    tracks = tracks_of(hit)
    tracks.measures[0, 1, -1] = 0
    _, played, corrected = read(tracks)
    assert torch.equal(played.velocities[0, 1], corrected.velocities[0, 1])
    assert (corrected.errors[0, 1] == 5).all()
