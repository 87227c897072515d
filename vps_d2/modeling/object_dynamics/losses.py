"""What ObjectDynamics learns from: true motion, and points of true masks.

Shapes: ``N`` videos, ``K`` objects, ``F`` all frames of a video, ``S`` frames from the last input
frame on, ``Q`` points.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from vps_d2.data.tracks import COVERED
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT
from vps_d2.modeling.object_dynamics.network import Future, ObjectDynamicsNetwork
from vps_d2.modeling.object_dynamics.tracks import Tracks

_RADIUS = 0.41
"""Meters: errors are measured in the apparent radius of an object."""
_HALF_RANGE = (0.6, 0.43)
"""Picture widths from the middle within which the center of an object matters."""
_STAGE = (0.0, 9.6)
_STAGE_RADIUS = 14.0
"""Meters around the middle of the stage, outside of which motion is not learned from."""
_FINE = 0.1
"""Meters, and meters a second: errors of the state that still matter."""
_COARSE = 0.2
"""Meters: errors of a place, some frames on, that still matter."""
_HIT = 0.6
"""Error, in radii, up to which an object counts as being where it was predicted."""


class Motions(NamedTuple):
    """True motion of the objects of tracks.

    Attributes:
        places: ``(N, K, F, 2)`` in meters; NaN where not known.
        velocities: ``(N, K, F, 2)`` in meters a second; NaN where not known.
        orientations: as in ``State``, ``(N, K, F, 2)``; NaN where not known.
        points: around each object in one frame, ``(N, K, Q, 2)`` in picture widths.
        inside: 1 in the object, 0 outside, COVERED if unknown, ``(N, K, Q)``.
        points_frame: index of that frame, ``(N,)``.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    orientations: torch.Tensor
    points: torch.Tensor
    inside: torch.Tensor
    points_frame: torch.Tensor


def object_dynamics_losses(
    network: ObjectDynamicsNetwork, tracks: Tracks, motions: Motions, noise: float
) -> dict[str, torch.Tensor]:
    """Return the losses of a batch.

    Args:
        network: that learns.
        tracks: of the input frames.
        motions: of all frames.
        noise: on the true states that the motion is replayed from: standard deviation in meters,
            and three times as much in meters a second.
    """
    first = tracks.outlines.shape[2] - 1
    num_frames = motions.places.shape[2] - 1 - first
    future = network(tracks, num_frames)
    with torch.autocast(tracks.outlines.device.type, enabled=False):
        losses = _future_losses(network, future, motions, first)
        losses["loss_replay"] = _replay_loss(network, tracks, future, motions, noise)
        losses["loss_camera"] = _camera_loss(network, tracks, motions)
        losses["loss_drawing"] = _drawing_loss(network, future, motions)
    return losses


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the mean of the chosen values, 0 if there are none."""
    return torch.where(chosen, values, 0).sum() / chosen.sum().clamp(min=1)


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return ((first - second).square().sum(-1) + 1e-6).sqrt()


def _future_losses(
    network: ObjectDynamicsNetwork, future: Future, motions: Motions, first: int
) -> dict[str, torch.Tensor]:
    places, velocities, orientations = (
        each[:, :, first:] for each in (motions.places, motions.velocities, motions.orientations)
    )
    known = ~places.isnan().any(-1)
    places = places.nan_to_num()
    camera = network.camera
    projected = camera.project(places, torch.full_like(places[..., 0], CENTER_HEIGHT)).detach()
    radius = camera.focal_length.detach() * _RADIUS / projected[..., 2].clamp(min=2)
    in_sight = (projected[..., :2].abs() < projected.new_tensor(_HALF_RANGE)).all(-1)
    in_sight = in_sight & (projected[..., 2] > 1) & known
    exists = future.state.exists[..., None]
    missed = (_distance(future.centers.clamp(-2, 2), projected[..., :2]) / radius).clamp(max=100)
    apart = _distance(future.trajectory.places, places)
    near = _near(places) & known & exists
    moving = velocities.nan_to_num()
    speed_error = _distance(future.trajectory.velocities, moving)
    with_speed = near & ~velocities.isnan().any(-1)
    turned = ~orientations.isnan().any(-1) & exists & (future.state.kinds[..., :1] > 0)
    turn_error = (future.trajectory.orientations - orientations.nan_to_num()).square().sum(-1)
    later = torch.linspace(0.5, 1.5, places.shape[2], device=places.device)
    hit = (missed.detach() < _HIT) & in_sight
    presence = F.binary_cross_entropy_with_logits(
        future.presence, hit.to(future.presence.dtype), reduction="none"
    )
    return {
        # What small errors of the state grow into counts most; hopeless errors hardly count.
        "loss_state_place": 0.3 * _mean((apart[:, :, 0] / _FINE).log1p(), near[:, :, 0]),
        "loss_state_velocity": 0.5
        * _mean((speed_error[:, :, 0] / _FINE).log1p(), with_speed[:, :, 0]),
        # An error of a few radii loses an object just as a larger one does.
        "loss_overlap": _mean(missed / (missed + 0.7) * later, in_sight & exists),
        "loss_place": _mean(1.5 * apart / (apart + 2) * later, near),
        "loss_velocity": 0.3 * _mean(speed_error / (speed_error + 0.5), with_speed),
        "loss_orientation": 0.1 * _mean(turn_error, turned),
        "loss_presence": 0.2 * _mean(presence, known & exists),
    }


def _near(places: torch.Tensor) -> torch.Tensor:
    return (places - places.new_tensor(_STAGE)).norm(dim=-1) < _STAGE_RADIUS


def _replay_loss(
    network: ObjectDynamicsNetwork, tracks: Tracks, future: Future, motions: Motions, noise: float
) -> torch.Tensor:
    """Play the motion on from a true state to the end of the video.

    The state is that of the last input frame, or of the first. For the first, nothing else is known
    about the objects, as when earlier frames are replayed.
    """
    total = motions.places.shape[2]
    start = 0 if torch.rand(()) < 0.3 else tracks.outlines.shape[2] - 1
    places, velocities = motions.places[:, :, start:], motions.velocities[:, :, start:]
    known = ~places.isnan().any(-1)
    exists = known[:, :, 0] & ~velocities[:, :, 0].isnan().any(-1) & (tracks.class_ids > 0)
    jitter = noise * torch.randn_like(places[:, :, 0])
    state = future.state._replace(
        exists=exists,
        place=places[:, :, 0].nan_to_num() + jitter,
        velocity=velocities[:, :, 0].nan_to_num() + 3 * noise * torch.randn_like(jitter),
        code=future.state.code if start else torch.zeros_like(future.state.code),
    )
    replayed = network.motion(state, total - 1 - start)
    apart = _distance(replayed.places, places.nan_to_num())
    chosen = known & exists[..., None] & _near(places.nan_to_num())
    return 0.7 * _mean((apart / _COARSE).log1p(), chosen)


def _camera_loss(network: ObjectDynamicsNetwork, tracks: Tracks, motions: Motions) -> torch.Tensor:
    """Fit the camera: true places are seen in the middle of uncut outlines."""
    num_frames = tracks.outlines.shape[2]
    places = motions.places[:, :, :num_frames]
    known = ~places.isnan().any(-1)
    places = places.nan_to_num()
    seen = network.camera.project(places, torch.full_like(places[..., 0], CENTER_HEIGHT))
    middle = (tracks.outlines[..., 3:5] + tracks.outlines[..., 5:7]) / 2
    uncut = (
        tracks.outlines[..., 3:].abs()
        < tracks.outlines.new_tensor([0.49, tracks.aspect / 2 - 0.01] * 2)
    ).all(-1)
    error = (_distance(seen[..., :2], middle) * 20).clamp(max=1)
    return _mean(error, tracks.seen & uncut & known & (seen[..., 2] > 2))


def _drawing_loss(network: ObjectDynamicsNetwork, future: Future, motions: Motions) -> torch.Tensor:
    """Classify points as inside or outside of an object at its true place."""
    videos = torch.arange(len(motions.places), device=motions.places.device)
    places = motions.places[videos, :, motions.points_frame]
    orientations = motions.orientations[videos, :, motions.points_frame].nan_to_num()
    known = ~places.isnan().any(-1) & future.state.exists
    # Noise of the size that a predicted orientation of this length implies.
    length = torch.rand_like(orientations[..., 0]).clamp(min=0.02)
    error = (-2 * length.log()).sqrt() * torch.randn_like(length)
    cos, sin = error.cos() * length, error.sin() * length
    turned = torch.stack(
        [
            orientations[..., 0] * cos - orientations[..., 1] * sin,
            orientations[..., 0] * sin + orientations[..., 1] * cos,
        ],
        dim=-1,
    )
    objects = network.drawing.describe(future.state, places.nan_to_num(), turned, network.camera)
    logits = network.drawing(objects, motions.points)
    chosen = (motions.inside != COVERED) & known[..., None]
    return _mean(
        F.binary_cross_entropy_with_logits(
            logits, (motions.inside == 1).to(logits.dtype), reduction="none"
        ),
        chosen,
    )
