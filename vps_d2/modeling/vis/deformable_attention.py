"""Attention to a few places of several maps (Deformable DETR, arXiv 2010.04159, eq. 3).

Shapes: ``N`` frames, ``L`` queries, ``C`` channels, ``M`` heads, ``S`` maps (levels), ``P`` places
per head and map, ``H`` rows, ``W`` columns. The maps of a frame are flattened and joined: ``(N,
sum(H W), C)``. Places are x, y from 0 to 1, the edges of a map.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

Size = tuple[int, int]


def sample_places(
    values: torch.Tensor, sizes: Sequence[Size], places: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Read maps at places between their pixels, and return weighted sums of what is there.

    Args:
        values: of the joined maps, ``(N, sum(H W), M, C / M)``.
        sizes: ``H`` and ``W`` of each map.
        places: ``(N, L, M, S, P, 2)``; outside a map its value is 0.
        weights: of the places, ``(N, L, M, S, P)``.

    Returns:
        ``(N, L, C)``, in the number format of ``values``.
    """
    count, _, heads, width = values.shape
    queries = places.shape[1]
    grids = (2 * places.float() - 1).transpose(1, 2).flatten(0, 1)  # (N M, L, S, P, 2)
    shares = weights.float().transpose(1, 2).flatten(0, 1)  # (N M, L, S, P)
    total = torch.zeros((), device=values.device)
    parts = values.split([height * columns for height, columns in sizes], dim=1)
    for level, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        # Bilinear reading rounds too much in less than single precision.
        maps = part.permute(0, 2, 3, 1).reshape(count * heads, width, *size).float()
        read = F.grid_sample(maps, grids[:, :, level], mode="bilinear", align_corners=False)
        total = total + (read * shares[:, None, :, level]).sum(-1)
    return total.reshape(count, heads * width, queries).transpose(1, 2).to(values.dtype)


class MSDeformAttn(nn.Module):
    """Multi-scale deformable attention, in plain PyTorch on every device.

    Args:
        channels: ``C``.
        num_levels: ``S``.
        num_heads: ``M``, a divisor of ``C``.
        num_points: ``P``.
    """

    def __init__(
        self, channels: int, *, num_levels: int, num_heads: int = 8, num_points: int = 4
    ) -> None:
        super().__init__()
        self.grid = (num_heads, num_levels, num_points)
        places = math.prod(self.grid)
        self.sampling_offsets = nn.Linear(channels, 2 * places)
        self.attention_weights = nn.Linear(channels, places)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let the heads look in different directions, point ``p`` at a distance of ``p`` pixels."""
        heads, levels, points = self.grid
        angles = torch.arange(heads) * (2 * math.pi / heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        distances = torch.arange(1, points + 1).view(1, 1, points, 1)
        offsets = directions.view(heads, 1, 1, 2) * distances
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(heads, levels, points, 2).flatten())
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        queries: torch.Tensor,
        references: torch.Tensor,
        values: torch.Tensor,
        sizes: Sequence[Size],
    ) -> torch.Tensor:
        """Let each query read the maps around its own place.

        Args:
            queries: ``(N, L, C)``.
            references: the places of the queries, ``(L, 2)``.
            values: the joined maps, ``(N, sum(H W), C)``.
            sizes: ``H`` and ``W`` of each map.

        Returns:
            ``(N, L, C)``.
        """
        count, length, _ = queries.shape
        heads, levels, _ = self.grid
        projected = self.value_proj(values)
        offsets = self.sampling_offsets(queries).float().view(count, length, *self.grid, 2)
        weights = self.attention_weights(queries).float().view(count, length, heads, -1)
        weights = weights.softmax(-1).view(count, length, *self.grid)
        # Offsets are in pixels of the map that they are for.
        scale = torch.tensor([(columns, rows) for rows, columns in sizes], device=queries.device)
        places = references.view(1, length, 1, 1, 1, 2) + offsets / scale.view(levels, 1, 2)
        projected = projected.view(count, values.shape[1], heads, -1)
        return self.output_proj(sample_places(projected, sizes, places, weights))
