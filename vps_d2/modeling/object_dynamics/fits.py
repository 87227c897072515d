"""Curves of the law of motion through measured places: several readings of the state of an object.

What nothing hits moves on one curve, which four numbers settle: place and velocity at the last
frame. How far back a curve holds is not known, as it begins with the last collision; so there are
several, through few and through many of the last frames, and a network chooses.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` curves.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from vps_d2.data.vps import SHAPES
from vps_d2.data.world import (
    FRAME_SECONDS,
    FRICTION,
    LINEAR_DRAG,
    QUADRATIC_DRAG,
    START_SPEEDS,
)
from vps_d2.modeling.object_dynamics.iterating import iterate
from vps_d2.modeling.object_dynamics.tracks import Tracks, shape_index

FITS = (
    *(("rest", 2), ("rest", 4), ("rest", 11)),
    *(("free", 2), ("free", 3), ("free", 4), ("free", 5), ("free", 6), ("free", 8), ("free", 11)),
    *(("start", 2), ("start", 3), ("start", 11)),
)
"""Kind of motion, and how many of the last frames are taken for it: at rest, moving freely, or
moving freely since the first frame of the video, in which all that moves is about equally fast."""
NUM_FIT_FEATURES = 6
"""Of each curve in :meth:`Fits.features`."""

_FLOOR = 0.008
"""Meters: deviation of a measured place, besides what its covariance says."""
_LIKELY_SPEED = 5.0
"""Meters a second: deviation of velocities before anything is measured."""
_FASTEST = 6.0
_RESTING, _MOVING = 0.1, 0.4
"""Meters a second: up to the first an object may rest, and the law is left out; from the second on
it moves."""
_STEPS = 4
"""Of Gauss and Newton."""


class Fits(NamedTuple):
    """Place and velocity at the last frame, according to each of several curves.

    Attributes:
        places: ``(N, K, C, 2)`` in meters.
        velocities: ``(N, K, C, 2)`` in meters a second.
        errors: root mean square distance of the measured places from the curve, in standard
            deviations, ``(N, K, C)``.
        doubts: standard deviation of the velocity if the curve holds, ``(N, K, C)`` in meters a
            second.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    errors: torch.Tensor
    doubts: torch.Tensor

    def features(self) -> torch.Tensor:
        """Return the features by which a network chooses, ``(N, K, C * NUM_FIT_FEATURES)``."""
        around = (self.places - self.places.mean(2, keepdim=True)).clamp(-5, 5)
        errors = (self.errors[..., None] + 0.1).log() / 2
        doubts = (self.doubts[..., None] + 1e-3).log() / 3
        return torch.cat([around, self.velocities / 2, errors, doubts], dim=-1).flatten(2)


class _Past(NamedTuple):
    """Where an object was, if nothing hit it; each with its derivative by the speed now.

    Attributes:
        way: meters since then.
        way_slope: seconds.
        speed: meters a second.
        speed_slope: of the speed then by that now.
    """

    way: torch.Tensor
    way_slope: torch.Tensor
    speed: torch.Tensor
    speed_slope: torch.Tensor


def past_motion(speeds: torch.Tensor, seconds: torch.Tensor, shapes: torch.Tensor) -> _Past:
    """Follow the law of motion back: friction, and drag of the first and the second order.

    Args:
        speeds: now, in meters a second.
        seconds: ago.
        shapes: index of {cube, sphere, cylinder}; all three are broadcast.
    """
    friction = sum(FRICTION[shape] * (shapes == index) for index, shape in enumerate(SHAPES))
    assert isinstance(friction, torch.Tensor)
    slides = friction > 0
    a, b = LINEAR_DRAG, QUADRATIC_DRAG
    # With friction, the speed is a tangent of time.
    middle = a / (2 * b)
    root = (torch.where(slides, friction, 1.0) / b - middle**2).sqrt()
    now = (speeds + middle) / root
    angle = now.atan() + b * root * seconds
    tangent = angle.tan()
    turn = 1 / (root * (1 + now.square()))
    # Without, it is a ratio of exponentials.
    grown = (a * seconds).expm1()
    left = 1 - speeds * (b / a) * grown
    return _Past(
        way=torch.where(
            slides,
            (now.atan().cos() / angle.cos()).log() / b - middle * seconds,
            -left.log() / b,
        ),
        way_slope=torch.where(slides, (tangent - now) * turn / b, grown / (a * left)),
        speed=torch.where(slides, root * tangent - middle, speeds * (1 + grown) / left),
        speed_slope=torch.where(
            slides, root * (1 + tangent.square()) * turn, (1 + grown) / left.square()
        ),
    )


def last_sight(seen: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return when each object is last seen, ``(N, K, C)``, and its place then, ``(N, K, C, 2)``.

    Args:
        seen: in which frames, bool ``(N, K, C, T)``.
        places: measured, ``(N, K, T, 2)``.
    """
    frames = torch.arange(places.shape[2], device=places.device)
    last = (frames * seen).argmax(-1)
    return last, places.gather(2, last[..., None].expand(-1, -1, -1, 2))


def fit_tracks(
    tracks: Tracks, fits: Sequence[tuple[str, int]] = FITS, before: Sequence[int] | None = None
) -> Fits:
    """Fit curves to the places of objects.

    Args:
        tracks: what was measured.
        fits: which curves.
        before: how many frames before the last one each curve ends, as if no more were known; None
            for 0.
    """
    device = tracks.measures.device
    num_frames = tracks.measures.shape[2]
    frames = torch.arange(num_frames, device=device)
    ends = num_frames - 1 - torch.tensor(before or [0] * len(fits), device=device)
    known = tracks.seen[:, :, None] & (frames <= ends[:, None])  # (N, K, C, T)
    last, anchor = last_sight(known, tracks.places)
    lengths = torch.tensor([length for _, length in fits], device=device)
    recent = frames > (last - lengths)[..., None]
    weights = (recent & known).to(tracks.measures.dtype)
    rests, starts = (
        torch.tensor([kind == name for kind, _ in fits], device=device)[:, None]
        for name in ("rest", "start")
    )
    places = tracks.places[:, :, None] - anchor[..., None, :]  # (N, K, C, T, 2)
    sure = _invert(tracks.covariances(_FLOOR))[:, :, None] * weights[..., None, None]
    ago = (ends[:, None] - frames).clamp(min=0).to(places.dtype) * FRAME_SECONDS  # (C, T)
    shapes = shape_index(tracks.class_ids)[:, :, None, None]
    middle, half = sum(START_SPEEDS) / 2, (START_SPEEDS[1] - START_SPEEDS[0]) / 2
    count = (2 * weights.sum(-1)).clamp(min=1)

    def improve(now: Sequence[torch.Tensor]) -> Fits:
        place, velocity, _, _ = now
        speed = (velocity.square().sum(-1, keepdim=True) + 1e-6).sqrt().clamp(max=_FASTEST)
        along = velocity / speed
        past = past_motion(speed, ago, shapes)
        moves = ((speed - _RESTING) / (_MOVING - _RESTING)).clamp(0, 1)
        way = moves * past.way + (1 - moves) * speed * ago
        slope = moves * past.way_slope + (1 - moves) * ago
        beside = way / speed
        outer = (along[..., :, None] * along[..., None, :])[..., None, :, :]
        change = outer * (slope - beside)[..., None, None] + beside[..., None, None] * _eye(places)
        change = -change * ~rests[..., None, None]
        missed = places - place[..., None, :] + along[..., None, :] * way[..., None]
        # The speed in the first frame is known for what moved freely since.
        first = past_motion(speed[..., 0], ago[:, 0], shapes[..., 0])
        pull = starts[:, 0] * first.speed_slope / half
        known = (pull[..., None] * along, (middle - first.speed) / half)
        step, turn, doubt = _solve(sure, missed, change, rests, known, velocity)
        squares = torch.einsum("nkcti,nkctij,nkctj->nkc", missed, sure, missed)
        surprise = starts[:, 0] * (middle - first.speed).abs() / half
        return Fits(
            place + step,
            (velocity + turn).clamp(-_FASTEST, _FASTEST),
            (squares / count).sqrt() + surprise,
            doubt,
        )

    place, velocity, doubt = _solve(sure, places, ago[..., None, None] * -_eye(places), rests)
    found = Fits(place, velocity, torch.zeros_like(doubt), doubt)
    place, velocity, errors, doubts = (each[-1] for each in iterate(improve, found, _STEPS))
    return Fits(
        anchor + place.clamp(-_FASTEST, _FASTEST),
        velocity * ~rests,
        errors.clamp(max=100),
        doubts,
    )


def _eye(like: torch.Tensor) -> torch.Tensor:
    return torch.eye(2, dtype=like.dtype, device=like.device)


def _invert(matrices: torch.Tensor) -> torch.Tensor:
    """Return the inverses of symmetric matrices ``(..., 2, 2)``."""
    xx, xy, yy = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    determinant = (xx * yy - xy * xy).maximum(1e-6 * xx * yy + 1e-12)
    inverse = torch.stack([yy, -xy, -xy, xx], dim=-1) / determinant[..., None]
    return inverse.unflatten(-1, (2, 2))


def _solve(
    sure: torch.Tensor,
    missed: torch.Tensor,
    change: torch.Tensor,
    rests: torch.Tensor,
    known: tuple[torch.Tensor, torch.Tensor] | None = None,
    velocity: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Solve weighted least squares for place and velocity.

    Args:
        sure: inverse covariances of the places, ``(N, K, C, T, 2, 2)``, 0 where there is none.
        missed: by how much the curve misses the places, ``(N, K, C, T, 2)``.
        change: of the curve with the velocity, ``(..., T, 2, 2)``.
        rests: curves whose velocity is 0, bool ``(C, 1)``.
        known: of one more equation its factors ``(N, K, C, 2)`` and its value ``(N, K, C)``.
        velocity: so far, ``(N, K, C, 2)``; unlikely if it is large.

    Returns:
        changes of place and velocity ``(N, K, C, 2)``, and the velocity's standard deviation.
    """
    weighted = sure @ change
    of_place = sure.sum(-3) + 1e-2 * _eye(missed)
    mixed = weighted.sum(-3)
    of_velocity = (change.mT @ weighted).sum(-3) + _eye(missed) / _LIKELY_SPEED**2
    missed = missed[..., None]
    to_place = (sure @ missed).sum(-3)
    to_velocity = (weighted.mT @ missed).sum(-3)
    if known is not None:
        factor, value = known[0][..., None], known[1][..., None, None]
        of_velocity = of_velocity + factor @ factor.mT
        to_velocity = to_velocity + factor * value
    if velocity is not None:
        to_velocity = to_velocity - velocity[..., None] / _LIKELY_SPEED**2
    inverse = _invert(of_place)
    reduced = _invert(of_velocity - mixed.mT @ inverse @ mixed)
    turn = reduced @ (to_velocity - mixed.mT @ inverse @ to_place) * ~rests[..., None]
    step = inverse @ (to_place - mixed @ turn)
    doubt = reduced.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=0).sqrt()
    return step[..., 0], turn[..., 0], doubt * ~rests[:, 0]
