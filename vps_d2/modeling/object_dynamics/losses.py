"""What ObjectDynamics learns from: true motion, and points of true masks.

Shapes: ``N`` videos, ``K`` objects, ``F`` all frames of a video, ``S`` frames from the last input
frame on, ``Q`` points.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from vps_d2.data.tracks import COVERED
from vps_d2.data.world import RADIUS
from vps_d2.modeling.batch import batch_places, batch_sum
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT
from vps_d2.modeling.object_dynamics.network import Future, ObjectDynamicsNetwork
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import Tracks

_HALF_RANGE = (0.6, 0.43)
"""Picture widths from the middle within which the center of an object matters."""
_STAGE = (0.0, 9.6)
_STAGE_RADIUS = 14.0
"""Meters around the middle of the stage, outside of which motion is not learned from."""
_FINE = 0.03
"""Meters, and meters a second: errors of the state that still matter."""
_COARSE = 0.1
"""Meters: errors of a place, some frames on, that still matter."""
_SHARE_EARLY = 0.3
"""Of the videos, those whose motion is replayed from the first frame."""
_LEAST_LOG_PROB = -8.0
_LEAST_MASS = 0.1
"""Below it, an entry is empty."""
_HIT = 0.6
"""Error, in radii, up to which an object counts as being where it was predicted."""


class Motions(NamedTuple):
    """True motion of the objects of tracks.

    Attributes:
        places: ``(N, K, F, 2)`` in meters; NaN where not known.
        velocities: ``(N, K, F, 2)`` in meters a second; NaN where not known.
        orientations: as in ``State``, ``(N, K, F, 2)``; NaN where not known.
        spins: as in ``State``, ``(N, K, F)``; NaN where not known.
        masses: relative to that of most objects, ``(N, K)``.
        points: around each object in one frame, ``(N, K, Q, 2)`` in picture widths.
        inside: 1 in the object, 0 outside, COVERED if unknown, ``(N, K, Q)``.
        points_frame: index of that frame, ``(N,)``.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    orientations: torch.Tensor
    spins: torch.Tensor
    masses: torch.Tensor
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
    first = tracks.measures.shape[2] - 1
    num_frames = motions.places.shape[2] - 1 - first
    future = network(tracks, num_frames)
    with torch.autocast(tracks.measures.device.type, enabled=False):
        losses = _future_losses(network, future, motions, first)
        losses["loss_replay"] = _replay_loss(network, tracks, future, motions, noise)
        losses["loss_drawing"] = _drawing_loss(network, future, motions)
        losses["loss_spread"] = _spread_loss(network, future, motions, first)
    return losses


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the mean of the chosen values, 0 if there are none."""
    total = torch.where(chosen, values, 0).sum()
    return batch_sum(total) / batch_sum(chosen.sum()).clamp(min=1)


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
    radius = camera.focal_length.detach() * RADIUS / projected[..., 2].clamp(min=2)
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
    spin_error = (future.state.spin - motions.spins[:, :, first].nan_to_num()).abs()
    mass_error = (future.state.log_mass - motions.masses.clamp(min=_LEAST_MASS).log()).square()
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
        "loss_spin": 0.1 * _mean(spin_error / (spin_error + 1), turned[..., 0]),
        "loss_mass": _mean(mass_error, near[:, :, 0]),
        "loss_presence": 0.2 * _mean(presence, known & exists),
    }


def _spread_loss(
    network: ObjectDynamicsNetwork, future: Future, motions: Motions, first: int
) -> torch.Tensor:
    places = motions.places[:, :, first + 1 :]
    chosen = ~places.isnan().any(-1) & future.state.exists[..., None] & _near(places)
    spread = network.spread(future.state, future.trajectory, slice(1, None))
    # Nobody can foresee what is less likely than this.
    surprise = -spread.log_prob(places.nan_to_num()).clamp(min=_LEAST_LOG_PROB)
    return 0.1 * _mean(surprise, chosen)


def _near(places: torch.Tensor) -> torch.Tensor:
    return (places - places.new_tensor(_STAGE)).norm(dim=-1) < _STAGE_RADIUS


def _replay_loss(
    network: ObjectDynamicsNetwork, tracks: Tracks, future: Future, motions: Motions, noise: float
) -> torch.Tensor:
    """Play the motion on from true states to the end of the video.

    In some videos they are those of the first frame, where only the masses are known of every other
    one, as when earlier frames are replayed; in the rest, those of the last input frame.
    """
    known = future.state._replace(exists=tracks.class_ids > 0)
    places = batch_places(len(known.place))
    number = torch.tensor(places, device=known.place.device)
    masses = motions.masses.clamp(min=_LEAST_MASS).log() * (number % 2)[:, None]
    unknown = known._replace(code=torch.zeros_like(known.code), log_mass=masses)
    early = sum(place < round(_SHARE_EARLY * len(places) * places.step) for place in places)
    errors, counts = [], []
    for start, state, videos in (
        (0, unknown, slice(None, early)),
        (tracks.measures.shape[2] - 1, known, slice(early, None)),
    ):
        chosen = Motions(*(each[videos] for each in motions))
        state = State(*(each[videos] for each in state))
        apart, weights = _replay(network, state, chosen, start, noise)
        errors.append((apart * weights).sum())
        counts.append(weights.sum())
    count = batch_sum(torch.stack(counts).sum())
    return 0.7 * batch_sum(torch.stack(errors).sum()) / count.clamp(min=1)


def _replay(
    network: ObjectDynamicsNetwork, state: State, motions: Motions, start: int, noise: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the errors of places played on from a frame ``(N, K, S)``, and which of them count."""
    places, velocities, turns = (
        each[:, :, start:] for each in (motions.places, motions.velocities, motions.orientations)
    )
    known = ~places.isnan().any(-1)
    places = places.nan_to_num()
    jitter = noise * torch.randn_like(places[:, :, 0])
    exists = known[:, :, 0] & ~velocities[:, :, 0].isnan().any(-1) & state.exists
    state = state._replace(
        exists=exists,
        place=places[:, :, 0] + jitter,
        velocity=velocities[:, :, 0].nan_to_num() + 3 * noise * torch.randn_like(jitter),
        orientation=turns[:, :, 0].nan_to_num(),
        spin=motions.spins[:, :, start].nan_to_num(),
    )
    replayed = network.motion(state, places.shape[2] - 1)
    chosen = known & exists[..., None] & _near(places)
    return (_distance(replayed.places, places) / _COARSE).log1p(), chosen


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
