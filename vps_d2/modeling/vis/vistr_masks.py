"""The mask head of VisTR: from the decoded queries of a clip to a mask for each.

Weights have the names of the public code. Shapes: ``N`` clips, ``T`` frames, ``K`` instances
(queries of a frame), ``D`` channels of the transformer, ``C`` channels, ``H`` rows, ``W`` columns.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

_GROUPS = 8
_INSTANCE_GROUPS = 4


def _norm(groups: int, channels: int) -> nn.GroupNorm:
    # The published widths are multiples of the number of groups; others use fewer groups.
    return nn.GroupNorm(math.gcd(groups, channels), channels)


class AttentionMaps(nn.Module):
    """Where each query looks in its frame: attention without values.

    Args:
        channels: ``D``.
        heads: of attention.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(channels, channels)
        self.k_linear = nn.Linear(channels, channels)
        for linear in (self.q_linear, self.k_linear):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, queries: torch.Tensor, memory: torch.Tensor, padding: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return shares of attention, which sum to 1 over the heads and places of a query.

        Args:
            queries: ``(N, K, D)``.
            memory: encoded frames ``(N, D, H, W)``.
            padding: bool ``(N, H, W)``, True outside the picture; None if there is nothing outside.

        Returns:
            ``(N, K, heads, H, W)``.
        """
        size = queries.shape[-1] // self.heads
        found = self.q_linear(queries).unflatten(-1, (self.heads, size)) * size**-0.5
        keys = self.k_linear(memory.movedim(1, -1)).unflatten(-1, (self.heads, size))
        weights = torch.einsum("nkas,nhwas->nkahw", found, keys)
        if padding is not None:
            weights = weights.masked_fill(padding[:, None, None], -torch.inf)
        return weights.flatten(2).softmax(-1).view_as(weights)


class DeformConv(nn.Module):
    """A deformable 3x3 convolution (arXiv 1703.06211) without bias, given its offsets.

    Args:
        in_channels: of the features.
        out_channels: of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """From features ``(N, C, H, W)`` and offsets ``(N, 18, H, W)`` to the result."""
        # Offsets are fractions of a pixel, for which bfloat16 is too coarse.
        with torch.autocast(x.device.type, enabled=False):
            found: torch.Tensor = deform_conv2d(
                x.float().contiguous(),
                offsets.float().contiguous(),
                self.weight.float().contiguous(),
                padding=1,
            )
        return found


class FrameMasks(nn.Module):
    """Features of the instances of a frame at stride 4, each by itself.

    Args:
        channels: ``D``.
        heads: of the attention maps.
        feature_channels: of the backbone's features of strides 16, 8 and 4.
        deformable: make the last convolution deformable, as published; False for a plain one with
            the same weights, which takes a fraction of the time on a CPU.
    """

    def __init__(
        self, channels: int, heads: int, feature_channels: Sequence[int], deformable: bool = True
    ) -> None:
        super().__init__()
        width = channels + heads
        levels = [channels // 2, channels // 4, channels // 8, channels // 16]
        self.out_channels = levels[-1]
        self.lay1 = nn.Conv2d(width, width, 3, padding=1)
        self.gn1 = _norm(_GROUPS, width)
        self.lay2 = nn.Conv2d(width, levels[0], 3, padding=1)
        self.gn2 = _norm(_GROUPS, levels[0])
        self.lay3 = nn.Conv2d(levels[0], levels[1], 3, padding=1)
        self.gn3 = _norm(_GROUPS, levels[1])
        self.lay4 = nn.Conv2d(levels[1], levels[2], 3, padding=1)
        self.gn4 = _norm(_GROUPS, levels[2])
        self.conv_offset = nn.Conv2d(levels[2], 2 * 3 * 3, 1)
        self.dcn = DeformConv(levels[2], levels[3])
        self.gn5 = _norm(_GROUPS, levels[3])
        self.adapter1 = nn.Conv2d(feature_channels[0], levels[0], 1)
        self.adapter2 = nn.Conv2d(feature_channels[1], levels[1], 1)
        self.adapter3 = nn.Conv2d(feature_channels[2], levels[2], 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.conv_offset.weight)
        self.deformable = deformable
        if not deformable:
            self.conv_offset.requires_grad_(False)

    def forward(
        self, memory: torch.Tensor, maps: torch.Tensor, features: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Compute the features of the instances of one frame of each clip.

        Args:
            memory: encoded frames ``(N, D, H, W)``.
            maps: where the queries look, ``(N, K, heads, H, W)``.
            features: of the backbone, of strides 16, 8 and 4.

        Returns:
            ``(N, K, C, H', W')`` with ``C = D / 16``, at stride 4.
        """
        count = maps.shape[1]

        def each(frames: torch.Tensor) -> torch.Tensor:
            return frames.repeat_interleave(count, 0)

        x = torch.cat([each(memory), maps.flatten(0, 1).to(memory.dtype)], dim=1)
        x = F.relu(self.gn1(self.lay1(x)))
        x = F.relu(self.gn2(self.lay2(x)))
        x = _add_finer(x, each(self.adapter1(features[0])))
        x = F.relu(self.gn3(self.lay3(x)))
        x = _add_finer(x, each(self.adapter2(features[1])))
        x = F.relu(self.gn4(self.lay4(x)))
        x = _add_finer(x, each(self.adapter3(features[2])))
        if self.deformable:
            x = self.dcn(x, self.conv_offset(x))
        else:
            x = F.conv2d(x, self.dcn.weight, padding=1)
        return F.relu(self.gn5(x)).unflatten(0, (-1, count))


def _add_finer(x: torch.Tensor, finer: torch.Tensor) -> torch.Tensor:
    return finer + F.interpolate(x, size=finer.shape[-2:], mode="nearest")


def make_tube_head(channels: int) -> nn.Sequential:
    """Return the 3D convolutions from the features of a tube to its mask logits.

    They map ``(N, channels, T, H, W)`` to ``(N, 1, T, H, W)``.

    Args:
        channels: of the features of a tube, an even number.
    """
    hidden = channels // 2
    layers: list[nn.Module] = []
    for in_channels in (channels, hidden, hidden):
        layers += [
            nn.Conv3d(in_channels, hidden, 3, padding=2, dilation=2),
            _norm(_INSTANCE_GROUPS, hidden),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv3d(hidden, 1, 1))
