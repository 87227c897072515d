"""The map between a picture and the floor, learned along with everything else.

World: meters, z up, the floor at z = 0, the camera above the origin looking along +y and down. The
camera does not move, so three numbers describe it. Pictures are measured in units of their width,
with the origin in the middle, x to the right and y down.
"""

import math

import torch
from torch import nn

CENTER_HEIGHT = 0.4
"""Meters above the floor of the center of an object."""
_NEAREST = 0.5
"""Meters: nothing is projected from closer to the camera, or from behind it."""
_STEEPEST = -0.05
"""Slope of the flattest ray that is projected to the floor: flatter ones meet it too far away."""


class GroundCamera(nn.Module):
    """A pinhole camera over a floor; its three numbers are parameters.

    Args:
        focal_length: in picture widths.
        pitch: downwards, in radians.
        height: above the floor, in meters. It sets the scale of the world.
    """

    def __init__(
        self, focal_length: float = 1.1, pitch: float = math.radians(30), height: float = 5.2
    ) -> None:
        super().__init__()
        self.focal_length = nn.Parameter(torch.tensor(float(focal_length)))
        self.pitch = nn.Parameter(torch.tensor(float(pitch)))
        self.height = nn.Parameter(torch.tensor(float(height)))

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
