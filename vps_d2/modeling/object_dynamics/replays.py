"""What a collision shortly before the last frame makes of the motion before it.

One or two frames after a collision tell a velocity badly. The frames before it tell theirs well,
and the motion as it was learned says what the collision makes of that.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits.
"""

import torch

from vps_d2.modeling.object_dynamics.fits import Fits, fit_tracks
from vps_d2.modeling.object_dynamics.motion import Motion
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import Tracks, one_hot_kinds

REPLAYS = (2, 4)
"""Frames before the last one, from where the motion is played on."""
_CURVE = ("slide", 4)
"""That the motion is read from there."""
_UNKNOWN = 5.0
"""Meters: error of what cannot be played."""


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
        place and velocity at the last frame for each of REPLAYS, and how far the object was played
        from where it was seen. Of what was not seen before, the place means nothing, and the error
        is 5 m.
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
