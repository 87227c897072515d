"""Replays: the motion before a late collision, played through it to the last frame.

One or two frames after a collision give a poor estimate of the velocity. The frames before it give
a good one of the velocity at that time, and the learned motion model predicts what the collision
changes.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits.
"""

import torch

from vps_d2.modeling.object_dynamics.fits import FITS, Fits, fit_tracks
from vps_d2.modeling.object_dynamics.motion import Motion
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import Tracks, one_hot_kinds

REPLAYS = (2, 4)
"""How many frames before the last one the replays start."""
_CURVE = ("free", 4)
"""The curves from which the motion is read at these frames."""
_UNKNOWN = 5.0
"""Error in meters of objects that cannot be replayed."""


def fit_and_replay(tracks: Tracks, motion: Motion) -> Fits:
    """Read the motion of objects at the last frame, in all ways.

    Args:
        tracks: of the objects.
        motion: as learned so far.

    Returns:
        the curves of FITS, and then for each of REPLAYS place and velocity at the last frame, and
        the distance between the replayed and the measured places in meters. For objects that were
        not seen before, the place is meaningless, and the error 5 m.
    """
    # All curves at once, and all replays: what takes time is how many operations there are.
    before = [0] * len(FITS) + list(REPLAYS)
    fits = fit_tracks(tracks, [*FITS, *[_CURVE] * len(REPLAYS)], before)
    curves, starts = zip(*(each.tensor_split([len(FITS)], dim=2) for each in fits), strict=True)
    replays = _replay(tracks, Fits(*starts), motion)
    return Fits(*(torch.cat(both, dim=2) for both in zip(curves, replays, strict=True)))


def _replay(tracks: Tracks, starts: Fits, motion: Motion) -> Fits:
    """Play objects on from where they were at earlier frames to the last one."""
    seen = torch.stack([tracks.seen[:, :, :-frames].any(-1) for frames in REPLAYS])
    place, velocity, doubt = (
        each.movedim(2, 0).flatten(0, 1)
        for each in (starts.places, starts.velocities, starts.doubts)
    )
    exists, nothing = seen.flatten(0, 1), torch.zeros_like(doubt)
    state = State(
        exists=exists,
        kinds=one_hot_kinds(tracks.class_ids).repeat(len(REPLAYS), 1, 1),
        place=place,
        velocity=velocity,
        orientation=torch.zeros_like(velocity),
        spin=nothing,
        log_mass=nothing,
        code=place.new_zeros(*exists.shape, motion.code_size),
    )
    played = motion(state, max(REPLAYS))
    places, velocities = (
        each.unflatten(0, (len(REPLAYS), -1)) for each in (played.places, played.velocities)
    )
    errors = []
    for index, frames in enumerate(REPLAYS):
        known = (tracks.seen[:, :, -frames:] & seen[index][..., None]).to(place.dtype)
        missed = places[index, :, :, 1 : frames + 1] - tracks.places[:, :, -frames:]
        count = known.sum(-1)
        error = ((missed.square().sum(-1) * known).sum(-1) / count.clamp(min=1)).sqrt()
        errors.append(torch.where(count > 0, error, _UNKNOWN).clamp(max=_UNKNOWN))
    last_place, last_velocity = (
        torch.stack([each[index, :, :, frames] for index, frames in enumerate(REPLAYS)], 2)
        for each in (places, velocities)
    )
    return Fits(last_place, last_velocity, torch.stack(errors, 2), starts.doubts)
