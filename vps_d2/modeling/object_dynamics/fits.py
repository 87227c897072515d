"""Curves through tracks: what place and velocity the last frames, or all of them, say.

No one fit is right everywhere: near the camera two frames tell the velocity, far away it takes all
of them, and none from before a collision. So several are made, and a network chooses.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``C`` fits.
"""

from typing import NamedTuple

import torch

from vps_d2.data.tracks import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.tracks import Tracks, shape_index

FITS = (
    *((0, 2), (0, 11)),
    *((1, 2), (1, 3), (1, 4), (1, 6), (1, 11)),
    *((2, 5), (2, 8), (2, 11)),
)
"""Degree of the curve, and how many of the last frames it goes through."""
CURVED = tuple(index for index, (degree, _) in enumerate(FITS) if degree == 2)
"""Which of FITS know a deceleration."""
NUM_FIT_FEATURES = 5 * len(FITS) + len(CURVED)
"""Numbers of :meth:`Fits.features`."""

_HALF_EXTENTS = ((0.55, 0.57), (0.43, 0.42), (0.46, 0.55))
"""Half the width and height of outlines of {cube, sphere, cylinder}, metres where the centre is;
medians of generated ones."""
_BORDER = 1 / 200
"""Picture widths from its border within which an outline counts as cut."""
_CUT_WEIGHT = 0.3
"""Of a frame in which the outline is cut, where one that is whole has 1."""
_FAR = 40.0
"""Metres that a place is held to, so near the horizon none is huge."""
_FASTEST = 6.0
"""Metres a second that a velocity is held to."""
_STRONGEST = 2.0
"""Metres a second squared that a deceleration is held to."""
_RIDGE = 1e-4


class Fits(NamedTuple):
    """Place and velocity at the last frame, by each of FITS.

    Attributes:
        places: ``(N, K, C, 2)`` in metres.
        velocities: ``(N, K, C, 2)`` in metres a second.
        errors: root mean square distance of the curve from the places, ``(N, K, C)`` in metres.
        decelerations: along the velocity, by the CURVED ones of FITS, ``(N, K, 3)`` in metres a
            second squared.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    errors: torch.Tensor
    decelerations: torch.Tensor

    def features(self) -> torch.Tensor:
        """Return what a network chooses by, ``(N, K, NUM_FIT_FEATURES)``."""
        around = (self.places - self.places.mean(2, keepdim=True)).clamp(-5, 5)
        errors = (self.errors[..., None] + 1e-3).log() / 3
        curves = torch.cat([around, self.velocities / 2, errors], dim=-1).flatten(2)
        return torch.cat([curves, self.decelerations], dim=-1)


def cut_sides(tracks: Tracks) -> torch.Tensor:
    """Return which sides of outlines lie on the border: left, top, right, bottom, ``(..., 4)``."""
    half_height = tracks.aspect / 2
    borders = tracks.outlines.new_tensor([-0.5, -half_height, 0.5, half_height])
    return (tracks.outlines[..., 3:] - borders).abs() < _BORDER


def ground_places(tracks: Tracks, camera: GroundCamera) -> torch.Tensor:
    """Return where objects stand in each frame, ``(N, K, T, 2)`` in metres.

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


def fit_tracks(tracks: Tracks, ground: torch.Tensor) -> Fits:
    """Fit curves to the places of objects.

    Args:
        tracks: which frames count.
        ground: places, ``(N, K, T, 2)``.
    """
    seen = tracks.seen
    num_frames = seen.shape[2]
    frames = torch.arange(num_frames, device=seen.device)
    last, anchor = last_sight(tracks, ground)
    degrees = torch.tensor([degree for degree, _ in FITS], device=seen.device)
    lengths = torch.tensor([length for _, length in FITS], device=seen.device)
    weights = torch.where(cut_sides(tracks).any(-1), _CUT_WEIGHT, 1.0) * seen
    recent = frames > (last[..., None] - lengths)[..., None]  # (N, K, C, T)
    weights = (weights[:, :, None] * recent).to(ground.dtype)
    seconds = (frames - (num_frames - 1)).to(ground.dtype) * FRAME_SECONDS
    powers = torch.arange(3, device=seen.device)
    basis = seconds[:, None] ** powers  # (T, 3)
    basis = basis * (powers <= degrees[:, None])[:, None]  # (C, T, 3)
    weighted = weights[..., None] * basis
    normal = torch.einsum("nkcti,ctj->nkcij", weighted, basis)
    normal = normal + _RIDGE * torch.eye(3, device=seen.device, dtype=ground.dtype)
    values = ground - anchor
    moments = torch.einsum("nkcti,nktd->nkcid", weighted, values)
    solved = torch.linalg.solve(normal, moments)
    missed = torch.einsum("cti,nkcid->nkctd", basis, solved) - values[:, :, None]
    squares = (weights * missed.square().sum(-1)).sum(-1) / weights.sum(-1).clamp(min=0.1)
    places, velocities, curvatures = solved.unbind(-2)
    velocities = velocities.clamp(-_FASTEST, _FASTEST)
    curved = list(CURVED)
    directions = velocities[:, :, curved]
    directions = directions / (directions.norm(dim=-1, keepdim=True) + 0.1)
    decelerations = -2 * (curvatures[:, :, curved] * directions).sum(-1)
    return Fits(
        anchor + places.clamp(-_FASTEST, _FASTEST),
        velocities,
        squares.sqrt(),
        decelerations.clamp(-_STRONGEST, _STRONGEST),
    )
