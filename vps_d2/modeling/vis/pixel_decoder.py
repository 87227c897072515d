"""The pixel decoder of Mask2Former (arXiv 2112.01527): maps that masks and queries are made from.

Parameters are named as in the public code, so that its checkpoints load.

Shapes: ``N`` frames, ``C`` channels, ``D`` channels of the mask features, ``H`` rows, ``W``
columns. A map of stride ``s`` has ``1 / s`` of the frame's rows and columns.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.modeling.vis.deformable_attention import MSDeformAttn, Size
from vps_d2.modeling.vis.positions import sine_positions

NUM_SCALES = 3
"""Maps that the queries look at in turn."""
_GROUPS = 32


class _EncoderLayer(nn.Module):
    def __init__(
        self, channels: int, feedforward: int, dropout: float, levels: int, heads: int, points: int
    ) -> None:
        super().__init__()
        self.self_attn = MSDeformAttn(
            channels, num_levels=levels, num_heads=heads, num_points=points
        )
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, feedforward)
        self.linear2 = nn.Linear(feedforward, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        positions: torch.Tensor,
        references: torch.Tensor,
        sizes: Sequence[Size],
    ) -> torch.Tensor:
        attended = self.self_attn(x + positions, references, x, sizes)
        x = self.norm1(x + self.dropout(attended))
        hidden = self.dropout(self.linear1(x).relu())
        return self.norm2(x + self.dropout(self.linear2(hidden)))


class _Layers(nn.Module):
    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class DeformableEncoder(nn.Module):
    """A transformer over the pixels of several maps, with deformable attention.

    Args:
        channels: ``C``.
        num_levels: number of maps.
        num_layers: of the transformer.
        feedforward: hidden channels of its MLPs.
        dropout: chance that a value is dropped in training.
        num_heads: of the attention.
        num_points: places per head and map.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_levels: int,
        num_layers: int,
        feedforward: int = 1024,
        dropout: float = 0.0,
        num_heads: int = 8,
        num_points: int = 4,
    ) -> None:
        super().__init__()
        self.encoder = _Layers(
            [
                _EncoderLayer(channels, feedforward, dropout, num_levels, num_heads, num_points)
                for _ in range(num_layers)
            ]
        )
        self.level_embed = nn.Parameter(torch.empty(num_levels, channels))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, MSDeformAttn):
                module.reset_parameters()
        nn.init.normal_(self.level_embed)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return maps of the same shapes, ``(N, C, H, W)`` each."""
        sizes = [(each.shape[2], each.shape[3]) for each in maps]
        device = maps[0].device
        x = torch.cat([each.flatten(2).transpose(1, 2) for each in maps], dim=1)
        channels = x.shape[2]
        positions = torch.cat(
            [
                sine_positions(*size, channels, device).flatten(1).T + level
                for size, level in zip(sizes, self.level_embed, strict=True)
            ]
        )
        references = torch.cat([_pixel_centers(*size, device) for size in sizes])
        for layer in self.encoder.layers:
            x = layer(x, positions, references, sizes)
        parts = x.split([height * width for height, width in sizes], dim=1)
        return [
            part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)
        ]


def _pixel_centers(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the centers of all pixels, x and y from 0 to 1, ``(height * width, 2)``."""
    rows = (torch.arange(height, device=device) + 0.5) / height
    columns = (torch.arange(width, device=device) + 0.5) / width
    grid = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([grid[1], grid[0]], dim=-1).flatten(0, 1)


class _NormedConv(nn.Conv2d):
    """A convolution with group normalization, whose parameters are named as in Detectron2."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        padding = kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, out_channels)
        weight_init.c2_xavier_fill(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        return self.norm(super().forward(x))


class MSDeformAttnPixelDecoder(nn.Module):
    """Deformable attention over the coarse maps of a backbone, then an FPN up to the fine ones.

    Args:
        in_shapes: channels and stride of the backbone's maps, by name.
        transformer_features: the names of the maps that the transformer takes.
        channels: ``C``, a multiple of 32.
        mask_channels: ``D``.
        common_stride: of the mask features; maps from there up to the transformer's are added.
        num_layers: of the transformer.
        feedforward: hidden channels of its MLPs.
        dropout: chance that a value is dropped in training.
        num_heads: of its attention.
        num_points: places per head and map.
    """

    def __init__(
        self,
        in_shapes: Mapping[str, tuple[int, int]],
        *,
        transformer_features: Sequence[str],
        channels: int = 256,
        mask_channels: int = 256,
        common_stride: int = 4,
        num_layers: int = 6,
        feedforward: int = 1024,
        dropout: float = 0.0,
        num_heads: int = 8,
        num_points: int = 4,
    ) -> None:
        super().__init__()
        by_stride = sorted(in_shapes, key=lambda name: in_shapes[name][1])
        # From coarse to fine, as the levels of the transformer are numbered.
        self.coarse = [name for name in reversed(by_stride) if name in transformer_features]
        finest = min(in_shapes[name][1] for name in self.coarse)
        self.fine = [name for name in by_stride if common_stride <= in_shapes[name][1] < finest]
        self.input_proj = nn.ModuleList()
        for name in self.coarse:
            projection = nn.Conv2d(in_shapes[name][0], channels, kernel_size=1)
            nn.init.xavier_uniform_(projection.weight)
            assert projection.bias is not None
            nn.init.zeros_(projection.bias)
            self.input_proj.append(nn.Sequential(projection, nn.GroupNorm(_GROUPS, channels)))
        self.transformer = DeformableEncoder(
            channels,
            num_levels=len(self.coarse),
            num_layers=num_layers,
            feedforward=feedforward,
            dropout=dropout,
            num_heads=num_heads,
            num_points=num_points,
        )
        for number, name in enumerate(self.fine, start=1):
            self.add_module(f"adapter_{number}", _NormedConv(in_shapes[name][0], channels, 1))
            self.add_module(f"layer_{number}", _NormedConv(channels, channels, 3))
        self.mask_features = nn.Conv2d(channels, mask_channels, kernel_size=1)
        weight_init.c2_xavier_fill(self.mask_features)

    def forward(
        self, features: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Decode the maps of a backbone.

        Args:
            features: ``(N, C_in, H, W)`` by name.

        Returns:
            mask features ``(N, D, H, W)``, and NUM_SCALES maps ``(N, C, H, W)`` from coarse to
            fine.
        """
        projected = [
            projection(features[name])
            for name, projection in zip(self.coarse, self.input_proj, strict=True)
        ]
        maps = self.transformer(projected)
        for number, name in reversed(list(enumerate(self.fine, start=1))):
            lateral = self.get_submodule(f"adapter_{number}")(features[name])
            above = F.interpolate(maps[-1], size=lateral.shape[-2:], mode="bilinear")
            maps.append(self.get_submodule(f"layer_{number}")(lateral + above).relu())
        return self.mask_features(maps[-1]), list(itertools.islice(maps, NUM_SCALES))
