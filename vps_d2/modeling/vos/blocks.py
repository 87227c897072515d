"""Convolutional blocks of STCN (arXiv 2106.05210), named as in its public checkpoints.

Shapes: ``N`` items, ``C`` channels, ``H`` rows, ``W`` columns.
"""

import torch
import torch.nn.functional as F
from torch import nn


class ResBlock(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, beside a shortcut.

    Args:
        in_channels: of the input.
        out_channels: of the output; where it differs, the shortcut is a 3x3 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.downsample = (
            nn.Conv2d(in_channels, out_channels, 3, padding=1)
            if in_channels != out_channels
            else None
        )
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        residual = self.conv2(F.relu(self.conv1(F.relu(x))))
        return residual + (x if self.downsample is None else self.downsample(x))


class UpsampleBlock(nn.Module):
    """Doubles the resolution of features and adds those of a finer level.

    Args:
        skip_channels: of the finer level.
        in_channels: of the features.
        out_channels: of the output.
    """

    def __init__(self, skip_channels: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip_channels, in_channels, 3, padding=1)
        self.out_conv = ResBlock(in_channels, out_channels)

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """From ``skip`` at twice the resolution of ``x`` to features at that of ``skip``."""
        up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        result: torch.Tensor = self.out_conv(self.skip_conv(skip) + up)
        return result


class ChannelGate(nn.Module):
    """Scales channels by what their means and maxima say (CBAM, arXiv 1807.06521).

    Args:
        channels: of the features.
        reduction: how many times narrower the hidden layer is.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale features ``(N, C, H, W)``."""
        gate = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return x * torch.sigmoid(gate)[:, :, None, None]


class SpatialGate(nn.Module):
    """Scales places by the mean and the maximum over channels (CBAM)."""

    def __init__(self) -> None:
        super().__init__()
        # A module within a module, as the public checkpoints name it spatial.conv.
        self.spatial = nn.ModuleDict({"conv": nn.Conv2d(2, 1, 7, padding=3)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale features ``(N, C, H, W)``."""
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial["conv"](pooled))


class CBAM(nn.Module):
    """Attention over channels, then over places.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale features ``(N, C, H, W)``."""
        result: torch.Tensor = self.SpatialGate(self.ChannelGate(x))
        return result


class FeatureFusionBlock(nn.Module):
    """Fuses the features of a mask with those of its picture.

    Args:
        in_channels: of both together.
        out_channels: of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block1 = ResBlock(in_channels, out_channels)
        self.attention = CBAM(out_channels)
        self.block2 = ResBlock(out_channels, out_channels)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Fuse two sets of features of the same resolution."""
        x = self.block1(torch.cat([x, features], 1))
        result: torch.Tensor = self.block2(x + self.attention(x))
        return result
