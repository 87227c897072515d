"""Replays: the motion before a late collision, played through it to the last frame.

One or two frames after a collision give a poor estimate of the velocity. The frames before it give
a good one of the velocity at that time, and the learned motion model predicts what the collision
changes.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits.
"""

import torch

from vps_d2.modeling.object_dynamics.fits import Fits, fit_tracks
from vps_d2.modeling.object_dynamics.motion import Motion
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import Tracks, one_hot_kinds

REPLAYS = (2, 4)
"""How many frames before the last one the replays start."""
_CURVE = ("slide", 4)
"""The curves from which the motion is read at these frames."""
_UNKNOWN = 5.0
"""Error in meters of objects that cannot be replayed."""


def replay_tracks(
    tracks: Tracks, ground: torch.Tensor, motion: Motion, friction: torch.Tensor
) -> Fits:
    """Play objects on from earlier frames to the last one.

    Args:
        tracks: of the objects.
        ground: their places, ``(N, K, T, 2)``.
        motion: as learned so far.
        friction: of the objects, ``(N, K)`` in meters a second squared.

    Returns:
        place and velocity at the last frame for each of REPLAYS, and the distance between the
        replayed and the seen place. For objects that were not seen before, the place is
        meaningless, and the error 5 m.
    """
    replays = [_replay(tracks, ground, motion, friction, frames) for frames in REPLAYS]
    places, velocities, errors = (torch.stack(each, 2) for each in zip(*replays, strict=True))
    return Fits(places, velocities, errors)


def _replay(
    tracks: Tracks, ground: torch.Tensor, motion: Motion, friction: torch.Tensor, frames: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    early = tracks._replace(outlines=tracks.outlines[:, :, :-frames])
    place, velocity, _ = (
        each[:, :, 0] for each in fit_tracks(early, ground[:, :, :-frames], [_CURVE])
    )
    exists = early.seen.any(-1)
    state = State(
        exists=exists,
        kinds=one_hot_kinds(tracks.class_ids),
        place=place,
        velocity=velocity,
        orientation=torch.zeros_like(velocity),
        size=torch.ones_like(place[..., 0]),
        friction=friction,
        code=place.new_zeros(*exists.shape, motion.code_size),
    )
    played = motion(state, frames)
    known = (tracks.seen[:, :, -frames:] & exists[..., None]).to(place.dtype)
    missed = (played.places[:, :, 1:] - ground[:, :, -frames:]).square().sum(-1)
    count = known.sum(-1)
    error = ((missed * known).sum(-1) / count.clamp(min=1)).sqrt()
    return (
        played.places[:, :, -1],
        played.velocities[:, :, -1],
        torch.where(count > 0, error, _UNKNOWN).clamp(max=_UNKNOWN),
    )
