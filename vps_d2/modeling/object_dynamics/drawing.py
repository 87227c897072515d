"""Drawing objects: from their kind, place and orientation to a mask.

Shapes: ``N`` videos, ``K`` objects, ``P`` places of each, ``Q`` points, ``H`` rows, ``W`` columns.
"""

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.data.world import RADIUS
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

_REACH = 1.8
"""Radii around its center in which an object is drawn."""
NEAREST = 1.0
"""Meters: what is closer to the camera, or behind it, is not drawn."""
LEAST_SHARE = 0.35
"""Of the places of an object that cover a pixel, for it to be drawn there. At an index J, a pixel
raises it if it is right with a probability above J / (1 + J)."""
_CELLS, _FINER = 128, 4
"""Rows and columns of the table of an outline, and how many of them are interpolated from one."""


class ObjectDrawing(nn.Module):
    """The outline of an object, as a function that says whether a point is inside.

    It does not depend on the border of the picture, so an object that enters is drawn whole.

    Args:
        hidden: channels.
    """

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        # Kind, orientation, depth, and where in the picture: each changes the outline.
        self.of_object = nn.Linear(NUM_KINDS + 2 + 3, hidden)
        self.of_point = nn.Linear(3, hidden, bias=False)
        self.inside = nn.Sequential(nn.SiLU(), mlp(hidden, hidden, hidden, 1))

    def forward(self, objects: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Return logits ``(..., Q)``.

        Args:
            objects: what :meth:`describe` returns, or a part of it, ``(..., C)``.
            points: of each object, ``(..., Q, 2)``: x and y in picture widths from the middle.
        """
        center, scale = objects[..., None, :2], objects[..., None, 2:3]
        offsets = (points - center) / scale
        radius = offsets.square().sum(-1, keepdim=True)
        hidden = self.of_object(objects[..., 3:])[..., None, :]
        hidden = hidden + self.of_point(torch.cat([offsets, radius], dim=-1))
        logits: torch.Tensor = 4 * (1 - radius) + self.inside(hidden)
        return logits[..., 0]

    def describe(
        self,
        state: State,
        places: torch.Tensor,
        orientations: torch.Tensor,
        camera: GroundCamera,
    ) -> torch.Tensor:
        """Return what the outline depends on.

        Args:
            state: of the objects: their kinds.
            places: where they are, ``(N, K, 2)``.
            orientations: as in :class:`State`, ``(N, K, 2)``.
            camera: that sees them.

        Returns:
            ``(N, K, C)``: center x and y and radius in picture widths, and then the rest.
        """
        heights = torch.full_like(places[..., 0], CENTER_HEIGHT)
        x, y, depth = camera.project(places, heights).unbind(-1)
        near = depth.clamp(min=NEAREST)
        scale = camera.focal_length * RADIUS / near
        turn = orientations * state.kinds[..., :1]  # of cubes
        bearing = torch.stack([x, y, 4 / near], dim=-1)
        return torch.cat([torch.stack([x, y, scale], -1), state.kinds, turn, bearing], dim=-1)

    def paint(
        self,
        state: State,
        class_ids: torch.Tensor,
        places: torch.Tensor,
        orientations: torch.Tensor,
        shown: torch.Tensor,
        camera: GroundCamera,
        size: tuple[int, int],
    ) -> torch.Tensor:
        """Return masks, uint8 ``(N, H, W)``, that overlap most with what is expected.

        A pixel is an object's if that is likely enough: leaving it out costs more then, in the
        Jaccard index, than being wrong. With one place for each object, the nearer object covers
        the farther.

        Args:
            state: of the objects: their kinds.
            class_ids: their class numbers, ``(N, K)``.
            places: where they may be, all alike likely, ``(N, K, P, 2)``.
            orientations: as in :class:`State`, ``(N, K, 2)``.
            shown: which of them to draw, bool ``(N, K)``.
            camera: that sees them.
            size: ``H`` and ``W``.
        """
        shares, depths = self._cover(state, places, orientations, shown, camera, size)
        order = depths.argsort(1)
        best = torch.full_like(shares[:, 0], LEAST_SHARE)
        masks = torch.zeros_like(best, dtype=torch.uint8)
        uncovered = torch.ones_like(best)
        video = torch.arange(len(order), device=order.device)
        for number in order.unbind(1):
            share = shares[video, number]
            own = share * uncovered
            classes = class_ids[video, number, None].to(torch.uint8)
            masks = torch.where(own > best, classes, masks)
            best = own.maximum(best)
            uncovered = uncovered * (1 - share)
        return masks.unflatten(-1, size)

    def _cover(
        self,
        state: State,
        places: torch.Tensor,
        orientations: torch.Tensor,
        shown: torch.Tensor,
        camera: GroundCamera,
        size: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the share of places at which an object covers a pixel, and its distance.

        Returns:
            ``(N, K, H * W)``, and meters ``(N, K)``.
        """
        height, width = size
        heights = torch.full_like(places[..., 0], CENTER_HEIGHT)
        x, y, depths = camera.project(places, heights).unbind(-1)
        scales = camera.focal_length * RADIUS / depths * width
        # Rows and columns from size on are for what is out of the picture.
        shares = depths.new_zeros(*depths.shape[:2], height + 1, width + 1)
        # An outline hardly changes on the way from one of the places to the others.
        objects = self.describe(state, places.mean(2), orientations, camera)
        owners = (shown & (depths > NEAREST).any(-1)).nonzero()
        outlines = self._outlines(objects[owners[:, 0], owners[:, 1]])
        for (video, number), outline in zip(owners.tolist(), outlines, strict=True):
            near = depths[video, number] > NEAREST
            scale = scales[video, number, near, None]
            rows, row_cells = _window(y[video, number, near, None] * width, scale, height)
            columns, column_cells = _window(x[video, number, near, None] * width, scale, width)
            inside = outline[row_cells[:, :, None], column_cells[:, None]]
            pixels = rows[:, :, None] * (width + 1) + columns[:, None]
            canvas = shares[video, number].view(-1)
            canvas.index_add_(0, pixels.flatten(), inside.flatten() / places.shape[2])
        return shares[..., :height, :width].flatten(2), depths.mean(-1)

    def _outlines(self, objects: torch.Tensor) -> torch.Tensor:
        """Return 1 for the cells that are inside of objects ``(L, C)``, ``(L, cells, cells)``."""
        coarse = _CELLS // _FINER
        steps = ((torch.arange(coarse, device=objects.device) + 0.5) * 2 / coarse - 1) * _REACH
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        offsets = torch.stack([columns, rows], dim=-1).flatten(0, 1).to(objects.dtype)
        logits = self(objects, objects[:, None, :2] + offsets * objects[:, None, 2:3])
        logits = logits.view(-1, 1, coarse, coarse)
        logits = F.interpolate(logits, scale_factor=_FINER, mode="bilinear")
        return (logits[:, 0] > 0).to(objects.dtype)


def _window(
    centers: torch.Tensor, scales: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows, or columns, of windows around an object, and their cells in its outline.

    Args:
        centers: in pixels from the middle of the picture, ``(P, 1)``.
        scales: radii in pixels, ``(P, 1)``.
        size: of the picture.

    Returns:
        both ``(P, pixels)``; rows that are not in the picture are ``size``, and cells beyond the
        outline are those at its border, which are empty.
    """
    first = (centers - _REACH * scales + size / 2).floor()
    count = int((2 * _REACH * scales.max()).ceil()) + 1
    pixels = first + torch.arange(min(count, size), device=centers.device)
    offsets = (pixels + 0.5 - size / 2 - centers) / (_REACH * scales)
    cells = ((offsets + 1) * (_CELLS / 2)).long().clamp(0, _CELLS - 1)
    there = (pixels >= 0) & (pixels < size)
    return torch.where(there, pixels, size).long(), cells
