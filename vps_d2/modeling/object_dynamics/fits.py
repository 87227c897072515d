"""Curves through tracks, which estimate place and velocity from the last frames, or from all.

No single fit is best everywhere: near the camera, two frames are enough for the velocity; far away,
it takes all of them, but none from before a collision. So there are several, and a network chooses.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from vps_d2.data.world import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.tracks import Tracks, shape_index

FITS = (
    *(("rest", 2), ("rest", 11)),
    *(("slide", 2), ("slide", 3), ("slide", 4), ("slide", 6), ("slide", 11)),
    *(("any", 5), ("any", 8)),
)
"""Kind of motion, and how many of the last frames are taken for it: at rest, slowed by friction and
drag, or by any constant deceleration."""
NUM_FIT_FEATURES = 5
"""Of each curve in :meth:`Fits.features`."""

_FRICTION, _DRAG = (0.23, 0.0, 0.23), 0.09
"""Deceleration of {cube, sphere, cylinder} in the real videos, meters a second squared, and share
of the speed that is lost in a second besides; measured along free tracks of real/train and
real/unlabeled."""
_RESTING, _MOVING = 0.3, 0.8
"""Meters a second: up to the first an object may rest, and friction is left out; from the second on
it moves."""

_HALF_EXTENTS = ((0.55, 0.57), (0.43, 0.42), (0.46, 0.55))
"""Half the width and height of outlines of {cube, sphere, cylinder}, meters where the center is;
medians of generated ones."""
_BORDER = 1 / 200
"""Picture widths from its border within which an outline counts as cut."""
_CUT_WEIGHT = 0.3
"""Of a frame in which the outline is cut, where one that is whole has 1."""
_FAR = 40.0
"""Largest coordinate of a place in meters, so that none near the horizon is huge."""
_FASTEST = 6.0
"""Largest velocity in meters per second."""
_RIDGE = 1e-4


class Fits(NamedTuple):
    """Place and velocity at the last frame, according to each of several curves.

    Attributes:
        places: ``(N, K, C, 2)`` in meters.
        velocities: ``(N, K, C, 2)`` in meters a second.
        errors: root mean square distance of the curve from the places, ``(N, K, C)`` in meters.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    errors: torch.Tensor

    def features(self) -> torch.Tensor:
        """Return the features by which a network chooses, ``(N, K, C * NUM_FIT_FEATURES)``."""
        around = (self.places - self.places.mean(2, keepdim=True)).clamp(-5, 5)
        errors = (self.errors[..., None] + 1e-3).log() / 3
        return torch.cat([around, self.velocities / 2, errors], dim=-1).flatten(2)


def cut_sides(tracks: Tracks) -> torch.Tensor:
    """Return which sides of outlines lie on the border: left, top, right, bottom, ``(..., 4)``."""
    half_height = tracks.aspect / 2
    borders = tracks.outlines.new_tensor([-0.5, -half_height, 0.5, half_height])
    return (tracks.outlines[..., 3:] - borders).abs() < _BORDER


def ground_places(tracks: Tracks, camera: GroundCamera) -> torch.Tensor:
    """Return where objects stand in each frame, ``(N, K, T, 2)`` in meters.

    An outline that is cut on one side is completed from the other.
    """
    left, top, right, bottom = tracks.outlines[..., 3:].unbind(-1)
    cut = cut_sides(tracks)
    heights = torch.full_like(left, CENTER_HEIGHT)
    extents = left.new_tensor(_HALF_EXTENTS)[shape_index(tracks.class_ids)][:, :, None]
    centroid_x, centroid_y = tracks.outlines[..., 1], tracks.outlines[..., 2]
    x, y = centroid_x, centroid_y
    ground = camera.to_ground(torch.stack([x, y], -1), heights)
    for _ in range(3):
        depth = camera.project(ground, heights)[..., 2].clamp(2, 60)
        half_width, half_height = (camera.focal_length * extents / depth[..., None]).unbind(-1)
        x = _complete(centroid_x, left, right, half_width, cut[..., 0], cut[..., 2])
        y = _complete(centroid_y, top, bottom, half_height, cut[..., 1], cut[..., 3])
        ground = camera.to_ground(torch.stack([x, y], -1), heights)
    return ground.clamp(-_FAR, _FAR)


def _complete(
    whole: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    half: torch.Tensor,
    cut_low: torch.Tensor,
    cut_high: torch.Tensor,
) -> torch.Tensor:
    from_high = torch.where(cut_low & ~cut_high, high - half, whole)
    return torch.where(cut_high & ~cut_low, low + half, from_high)


def last_sight(tracks: Tracks, ground: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return when each object is last seen, ``(N, K)``, and its place then, ``(N, K, 1, 2)``."""
    frames = torch.arange(ground.shape[2], device=ground.device)
    last = (frames * tracks.seen).argmax(-1)
    return last, ground.gather(2, last[..., None, None].expand(-1, -1, 1, 2))


def fit_tracks(
    tracks: Tracks, ground: torch.Tensor, fits: Sequence[tuple[str, int]] = FITS
) -> Fits:
    """Fit curves to the places of objects.

    Args:
        tracks: which frames count.
        ground: places, ``(N, K, T, 2)``.
        fits: which curves.
    """
    seen = tracks.seen
    num_frames = seen.shape[2]
    frames = torch.arange(num_frames, device=seen.device)
    last, anchor = last_sight(tracks, ground)
    lengths = torch.tensor([length for _, length in fits], device=seen.device)
    weights = torch.where(cut_sides(tracks).any(-1), _CUT_WEIGHT, 1.0) * seen
    recent = frames > (last[..., None] - lengths)[..., None]  # (N, K, C, T)
    weights = (weights[:, :, None] * recent).to(ground.dtype)
    seconds = (frames - (num_frames - 1)).to(ground.dtype) * FRAME_SECONDS
    # Drag alone is like slower time; friction adds a term, which drag reduces.
    slowed = (1 - (-_DRAG * seconds).exp()) / _DRAG
    one, zero = torch.ones_like(seconds), torch.zeros_like(seconds)
    of_kind = {
        "rest": torch.stack([one, zero, zero], -1),
        "slide": torch.stack([one, slowed, zero], -1),
        "any": torch.stack([one, seconds, seconds.square()], -1),
    }
    basis = torch.stack([of_kind[kind] for kind, _ in fits])
    slides = torch.tensor([kind == "slide" for kind, _ in fits], device=seen.device)
    friction = ground.new_tensor(_FRICTION)[shape_index(tracks.class_ids)]
    friction = friction[..., None] * (seconds - slowed) / _DRAG
    weighted = weights[..., None] * basis
    normal = torch.einsum("nkcti,ctj->nkcij", weighted, basis)
    normal = normal + _RIDGE * torch.eye(3, device=seen.device, dtype=ground.dtype)
    straight = (ground - anchor)[:, :, None]
    moments = torch.einsum("nkcti,nkctd->nkcid", weighted, straight.expand(*weights.shape, 2))
    velocities = torch.linalg.solve(normal, moments)[..., 1, :]
    speeds = velocities.norm(dim=-1, keepdim=True)
    sure = ((speeds - _RESTING) / (_MOVING - _RESTING)).clamp(0, 1) * slides[:, None]
    directions = velocities / speeds.clamp(min=_RESTING) * sure
    straight = straight + directions[:, :, :, None] * friction[:, :, None, :, None]
    moments = torch.einsum("nkcti,nkctd->nkcid", weighted, straight)
    solved = torch.linalg.solve(normal, moments)
    missed = torch.einsum("cti,nkcid->nkctd", basis, solved) - straight
    squares = (weights * missed.square().sum(-1)).sum(-1) / weights.sum(-1).clamp(min=0.1)
    places, velocities, _ = solved.unbind(-2)
    return Fits(
        anchor + places.clamp(-_FASTEST, _FASTEST),
        velocities.clamp(-_FASTEST, _FASTEST),
        squares.sqrt(),
    )
