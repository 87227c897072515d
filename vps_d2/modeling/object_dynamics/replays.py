"""Replays: the motion before a late collision, played through it to the last frame.

One or two frames after a collision give a poor estimate of the velocity. The frames before it give
a good one of the velocity at that time, and the learned motion model predicts what the collision
changes. It also predicts when the objects touched; by how far they are from where they were
expected, so long after that, their velocity is corrected.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits, ``R`` replays.
"""

import torch

from vps_d2.modeling.object_dynamics.fits import FITS, Fits, fit_tracks
from vps_d2.modeling.object_dynamics.motion import Motion, Trajectory
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import Tracks, one_hot_kinds

REPLAYS = (1, 2, 4)
"""How many frames before the last one the replays start."""
NUM_READINGS = len(FITS) + 2 * len(REPLAYS)
"""Of :func:`fit_and_replay`."""
_CURVE = ("free", 4)
"""The curves from which the motion is read at these frames."""
_UNKNOWN = 5.0
"""Error in meters of objects that cannot be replayed."""
_SHORTEST = 0.02
"""Seconds between a touch and the last frame from which on it can be told what it changed."""
_FASTEST = 6.0


def fit_and_replay(tracks: Tracks, motion: Motion) -> Fits:
    """Read the motion of objects at the last frame, in all ways.

    Args:
        tracks: of the objects.
        motion: as learned so far.

    Returns:
        the curves of FITS; for each of REPLAYS place and velocity at the last frame, and the
        distance between the replayed and the measured places in meters; and the same corrected, by
        the distance in the last frame. For objects that were not seen before, the place is
        meaningless, and the error 5 m.
    """
    # All curves at once, and all replays: what takes time is how many operations there are.
    before = [0] * len(FITS) + list(REPLAYS)
    fits = fit_tracks(tracks, [*FITS, *[_CURVE] * len(REPLAYS)], before)
    curves, starts = zip(*(each.tensor_split([len(FITS)], dim=2) for each in fits), strict=True)
    seen = torch.stack([tracks.seen[:, :, :-frames].any(-1) for frames in REPLAYS], 2)
    played = _play(tracks, Fits(*starts), seen, motion)
    place, velocity, since = (
        torch.stack([each[:, :, index, frames] for index, frames in enumerate(REPLAYS)], 2)
        for each in (played.places, played.velocities, played.since)
    )
    replays = Fits(place, velocity, _errors(tracks, played, seen), Fits(*starts).doubts)
    parts = zip(curves, replays, _correct(tracks, replays, since), strict=True)
    return Fits(*(torch.cat(each, dim=2) for each in parts))


def _play(tracks: Tracks, starts: Fits, seen: torch.Tensor, motion: Motion) -> Trajectory:
    """Play objects on from where they were at earlier frames; what it returns is ``(N, K, R, S)``.

    Args:
        tracks: of the objects.
        starts: where they were, ``C`` is ``R``.
        seen: whether they were seen before, bool ``(N, K, R)``.
        motion: as learned so far.
    """
    turns = torch.stack([tracks.orientations[:, :, -1 - frames] for frames in REPLAYS], 2)
    exists, place, velocity, turn, nothing = (
        each.movedim(2, 0).flatten(0, 1)
        for each in (seen, starts.places, starts.velocities, turns, torch.zeros_like(starts.doubts))
    )
    state = State(
        exists=exists,
        kinds=one_hot_kinds(tracks.class_ids).repeat(len(REPLAYS), 1, 1),
        place=place,
        velocity=velocity,
        orientation=turn,
        spin=nothing,
        log_mass=nothing,
        code=place.new_zeros(*exists.shape, motion.code_size),
        context=place.new_zeros(*exists.shape, 0),
    )
    played = motion(state, max(REPLAYS))
    return Trajectory(*(each.unflatten(0, (len(REPLAYS), -1)).movedim(0, 2) for each in played))


def _errors(tracks: Tracks, played: Trajectory, seen: torch.Tensor) -> torch.Tensor:
    """Return how far replayed places are from measured ones, ``(N, K, R)`` in meters."""
    errors = []
    for index, frames in enumerate(REPLAYS):
        known = (tracks.seen[:, :, -frames:] & seen[:, :, index, None]).to(played.places.dtype)
        missed = played.places[:, :, index, 1 : frames + 1] - tracks.places[:, :, -frames:]
        count = known.sum(-1)
        error = ((missed.square().sum(-1) * known).sum(-1) / count.clamp(min=1)).sqrt()
        errors.append(torch.where(count > 0, error, _UNKNOWN).clamp(max=_UNKNOWN))
    return torch.stack(errors, 2)


def _correct(tracks: Tracks, replays: Fits, since: torch.Tensor) -> Fits:
    """Correct replays by where the objects are in the last frame.

    Args:
        tracks: of the objects.
        replays: to that frame.
        since: seconds since objects were touched in them, ``(N, K, R)``.
    """
    known = tracks.seen[:, :, -1:]
    since = since.clamp(min=_SHORTEST)
    place = torch.where(known[..., None], tracks.places[:, :, -1:], replays.places)
    change = (place - replays.places) / since[..., None]
    deviation = tracks.covariances()[:, :, -1].diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
    return Fits(
        place,
        (replays.velocities + change).clamp(-_FASTEST, _FASTEST),
        torch.where(known, (place - replays.places).norm(dim=-1), _UNKNOWN).clamp(max=_UNKNOWN),
        deviation[..., None] / since,
    )
