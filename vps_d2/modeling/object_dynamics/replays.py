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
_CURVE = ("free", 4)
"""The curves from which the motion is read at these frames."""
_UNKNOWN = 5.0
"""Error in meters of objects that cannot be replayed."""


def replay_tracks(tracks: Tracks, motion: Motion) -> Fits:
    """Play objects on from earlier frames to the last one.

    Args:
        tracks: of the objects.
        motion: as learned so far.

    Returns:
        place and velocity at the last frame for each of REPLAYS, and the distance between the
        replayed and the measured places in meters. For objects that were not seen before, the place
        is meaningless, and the error 5 m.
    """
    replays = [_replay(tracks, motion, frames) for frames in REPLAYS]
    return Fits(*(torch.stack(each, 2) for each in zip(*replays, strict=True)))


def _replay(tracks: Tracks, motion: Motion, frames: int) -> tuple[torch.Tensor, ...]:
    early = tracks._replace(measures=tracks.measures[:, :, :-frames])
    place, velocity, _, doubt = (each[:, :, 0] for each in fit_tracks(early, [_CURVE]))
    exists = early.seen.any(-1)
    nothing = torch.zeros_like(doubt)
    state = State(
        exists=exists,
        kinds=one_hot_kinds(tracks.class_ids),
        place=place,
        velocity=velocity,
        orientation=torch.zeros_like(velocity),
        spin=nothing,
        log_mass=nothing,
        code=place.new_zeros(*exists.shape, motion.code_size),
        context=place.new_zeros(*exists.shape, 0),
    )
    played = motion(state, frames)
    known = (tracks.seen[:, :, -frames:] & exists[..., None]).to(place.dtype)
    missed = (played.places[:, :, 1:] - tracks.places[:, :, -frames:]).square().sum(-1)
    count = known.sum(-1)
    error = ((missed * known).sum(-1) / count.clamp(min=1)).sqrt()
    return (
        played.places[:, :, -1],
        played.velocities[:, :, -1],
        torch.where(count > 0, error, _UNKNOWN).clamp(max=_UNKNOWN),
        doubt,
    )
