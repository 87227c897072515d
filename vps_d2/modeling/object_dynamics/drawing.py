"""Drawing objects: from their kind, place and orientation to a mask.

Shapes: ``N`` videos, ``K`` objects, ``Q`` points or pixels, ``H`` rows, ``W`` columns.
"""

import torch
from torch import nn

from vps_d2.data.world import RADIUS
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

_REACH = 1.8
"""Radii around its center in which an object is drawn."""
NEAREST = 1.0
"""Meters: what is closer to the camera, or behind it, is not drawn."""


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
        """Return masks, uint8 ``(N, H, W)``: the nearer object covers the farther.

        Args:
            state: of the objects: their kinds.
            class_ids: their class numbers, ``(N, K)``.
            places: where they are, ``(N, K, 2)``.
            orientations: as in :class:`State`, ``(N, K, 2)``.
            shown: which of them to draw, bool ``(N, K)``.
            camera: that sees them.
            size: ``H`` and ``W``.
        """
        height, width = size
        masks = torch.zeros(len(places), height * width, dtype=torch.uint8, device=places.device)
        heights = torch.full_like(places[..., 0], CENTER_HEIGHT)
        depth = camera.project(places, heights)[..., 2]
        objects = self.describe(state, places, orientations, camera)
        video, number = (shown & (depth > NEAREST)).nonzero(as_tuple=True)
        chosen, depth = objects[video, number], depth[video, number]
        middle = chosen.new_tensor([width / 2, height / 2])
        low, high = (
            (chosen[:, :2] * width + middle + sign * _REACH * chosen[:, 2:3] * width)
            for sign in (-1, 1)
        )
        limit = torch.tensor([width, height], device=places.device)
        low = low.floor().long().clamp(min=0).minimum(limit)
        span = (high.ceil().long().clamp(min=0).minimum(limit) - low).clamp(min=0)
        # All pixels of all windows in one row, with the number of their window.
        areas = span.prod(1)
        window = torch.repeat_interleave(torch.arange(len(areas), device=areas.device), areas)
        index = torch.arange(len(window), device=areas.device) - (areas.cumsum(0) - areas)[window]
        across = span[window, 0]
        rows = low[window, 1] + torch.div(index, across, rounding_mode="floor")
        columns = low[window, 0] + index % across
        points = (torch.stack([columns, rows], dim=-1) + 0.5 - middle) / width
        inside = self(chosen[window], points[:, None])[:, 0] > 0
        window, pixel = window[inside], (rows * width + columns)[inside]
        pixel = pixel + video[window] * (height * width)
        nearest = depth.new_full((masks.numel(),), torch.inf)
        nearest = nearest.scatter_reduce(0, pixel, depth[window], "amin")
        front = nearest[pixel] == depth[window]
        flat = masks.reshape(-1)
        flat[pixel[front]] = class_ids[video, number][window[front]].to(torch.uint8)
        return masks.reshape(-1, height, width)
