"""Encoders of pictures and of masks, for :class:`vps_d2.modeling.vos.network.STCNNetwork`.

A key encoder maps normalized pictures ``(N, 3, H, W)`` to features at three resolutions, the
coarsest first. A value encoder maps pictures with masks to values at the coarsest resolution. The
ResNets are those of STCN (strides 16, 8 and 4), named as in its public checkpoints; the small
encoders are for CPUs (strides 8, 4 and 2).

Shapes: ``N`` pictures, ``K`` objects, ``H`` rows, ``W`` columns, both multiples of the coarsest
stride.
"""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from vps_d2.modeling.vos.blocks import FeatureFusionBlock, ResBlock


class ResNetKeyEncoder(nn.Module):
    """ResNet-50 without its last stage.

    Attributes:
        channels: of the three levels, the coarsest first.
        stride: of the coarsest level, in pixels.
    """

    channels = (1024, 512, 256)
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        resnet = torchvision.models.resnet50(weights=None)
        self.conv1 = resnet.conv1
        self.bn1 = resnet.bn1
        self.maxpool = resnet.maxpool
        self.res2 = resnet.layer1
        self.layer2 = resnet.layer2
        self.layer3 = resnet.layer3

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode normalized pictures ``(N, 3, H, W)``: features at strides 16, 8 and 4."""
        fine = self.res2(self.maxpool(F.relu(self.bn1(self.conv1(frames)))))
        middle = self.layer2(fine)
        return self.layer3(middle), middle, fine


class _BasicBlock(nn.Module):
    """A block of ResNet-18 whose convolutions have biases, unlike torchvision's."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
            )
            if stride != 1 or in_channels != out_channels
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetValueEncoder(nn.Module):
    """ResNet-18 of five channels (picture, mask, other objects), fused with the key features.

    Attributes:
        value_channels: of a value.
    """

    value_channels = 512

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(5, 64, 7, 2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(_BasicBlock(64, 64, 1), _BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(_BasicBlock(64, 128, 2), _BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(_BasicBlock(128, 256, 2), _BasicBlock(256, 256, 1))
        self.fuser = FeatureFusionBlock(1024 + 256, self.value_channels)

    def forward(
        self, frames: torch.Tensor, features: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Encode objects.

        Args:
            frames: normalized pictures, ``(K, 3, H, W)``.
            features: their coarsest features of the key encoder.
            masks: of the object and of all others, ``(K, 2, H, W)`` in 0-1.

        Returns:
            values ``(K, value_channels, H / 16, W / 16)``.
        """
        x = torch.cat([frames, masks], 1)
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        result: torch.Tensor = self.fuser(x, features)
        return result


class MobileNetKeyEncoder(nn.Module):
    """MobileNetV2 (arXiv 1801.04381) at stride 8, up to its 96 channels.

    The blocks that have stride 16 elsewhere are dilated instead; their features are joined to those
    of stride 8. Names are those of torchvision's ``mobilenet_v2().features``.

    Attributes:
        channels: of the three levels, the coarsest first.
        stride: of the coarsest level, in pixels.
    """

    channels = (128, 24, 16)
    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features[:14]
        for block in self.features[7:]:
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                    # The first of these blocks takes a step of two in the original network, so
                    # those after it look twice as far.
                    dilation = 1 if layer.stride == (2, 2) else 2
                    layer.stride = (1, 1)
                    layer.dilation = layer.padding = (dilation, dilation)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode normalized pictures ``(N, 3, H, W)``: features at strides 8, 4 and 2."""
        fine = self.features[:2](frames)
        middle = self.features[2:4](fine)
        near = self.features[4:7](middle)
        return torch.cat([near, self.features[7:](near)], 1), middle, fine


class SmallValueEncoder(nn.Module):
    """Three convolutions, fused with the key features; the masks themselves are two channels.

    Args:
        feature_channels: of the coarsest features of the key encoder.
        value_channels: of a value; the last two are the mask and the mask of the other objects,
            averaged over each cell.

    Attributes:
        stride: of the values, in pixels.
    """

    stride = 8

    def __init__(self, *, feature_channels: int, value_channels: int) -> None:
        super().__init__()
        self.value_channels = value_channels
        self.layers = nn.Sequential(
            nn.Conv2d(5, 16, 3, 2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 3, 2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 2, padding=1),
        )
        self.fuser = ResBlock(64 + feature_channels, value_channels - 2)

    def forward(
        self, frames: torch.Tensor, features: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Encode objects; see :meth:`ResNetValueEncoder.forward`. Values have stride 8."""
        x = self.layers(torch.cat([frames, masks], 1))
        values = self.fuser(torch.cat([x, features], 1))
        small = F.avg_pool2d(masks, self.stride)
        return torch.cat([values, small.to(values.dtype)], 1)
