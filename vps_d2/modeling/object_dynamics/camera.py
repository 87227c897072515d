"""The map between a picture and the floor, in PyTorch.

World: meters, z up, the floor at z = 0, the camera above the origin looking along +y and down. The
camera does not move, so three numbers describe it. Pictures are measured in units of their width,
with the origin in the middle, x to the right and y down.
"""

import torch
from torch import nn

from vps_d2.data.world import RADIUS, Camera

CENTER_HEIGHT = RADIUS
"""Meters above the floor of the center of an object."""
_NEAREST = 0.5
"""Meters: nothing is projected from closer to the camera, or from behind it."""
_STEEPEST = -0.05
"""Slope of the flattest ray that is projected to the floor: flatter ones meet it too far away."""


class GroundCamera(nn.Module):
    """The camera of :mod:`vps_d2.data.world`."""

    focal_length: torch.Tensor
    pitch: torch.Tensor
    height: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        camera = Camera()
        self.register_buffer("focal_length", torch.tensor(camera.focal_length), persistent=False)
        self.register_buffer("pitch", torch.tensor(float(camera.pitch)), persistent=False)
        self.register_buffer("height", torch.tensor(camera.position[2]), persistent=False)

    def project(self, places: torch.Tensor, heights: torch.Tensor) -> torch.Tensor:
        """Return where points are seen.

        Args:
            places: on the floor, ``(..., 2)`` in meters.
            heights: above it, ``(...)`` in meters.

        Returns:
            ``(..., 3)``: x and y in picture widths, and depth in meters.
        """
        x, y = places.unbind(-1)
        below = heights - self.height
        cos, sin = self.pitch.cos(), self.pitch.sin()
        depth = y * cos - below * sin
        down = -y * sin - below * cos
        near = depth.clamp(min=_NEAREST)
        return torch.stack(
            [self.focal_length * x / near, self.focal_length * down / near, depth], dim=-1
        )

    def to_ground(self, points: torch.Tensor, heights: torch.Tensor) -> torch.Tensor:
        """Return where the rays through points of the picture reach a height.

        Args:
            points: x and y in picture widths, ``(..., 2)``.
            heights: in meters, ``(...)``.

        Returns:
            places, ``(..., 2)`` in meters.
        """
        right, down = (points / self.focal_length).unbind(-1)
        cos, sin = self.pitch.cos(), self.pitch.sin()
        forward = cos - down * sin
        rise = (-down * cos - sin).clamp(max=_STEEPEST)
        distance = (heights - self.height) / rise
        return torch.stack([right, forward], dim=-1) * distance[..., None]
