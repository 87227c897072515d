"""The scribble-to-mask network of MiVOS (arXiv 2103.07941): DeepLabV3+ with six input channels.

DeepLabV3+ (arXiv 1802.02611) at stride 16 on a ResNet-50; its parameters are named as in the
public checkpoint ``s2m.pth``.

Shapes: ``N`` pictures, ``H`` rows, ``W`` columns.
"""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

_GUIDES = 3  # mask, positive and negative strokes
_WIDTH = 256
_NARROW = 48
_RATES = (6, 12, 18)


def _conv(in_channels: int, out_channels: int, size: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Return a convolution, batch normalization and ReLU."""
    padding = dilation * (size // 2)
    return [
        nn.Conv2d(in_channels, out_channels, size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


class _PooledBranch(nn.Sequential):
    """What the picture as a whole looks like, at every place."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv(in_channels, _WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).expand(-1, -1, *x.shape[-2:])


class SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: five views of features, from a cell to the whole picture.

    Args:
        in_channels: of the features.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv(in_channels, _WIDTH)),
                *(nn.Sequential(*_conv(in_channels, _WIDTH, 3, rate)) for rate in _RATES),
                _PooledBranch(in_channels),
            ]
        )
        self.project = nn.Sequential(*_conv(5 * _WIDTH, _WIDTH), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(N, in_channels, H, W)`` to ``(N, 256, H, W)``."""
        views = torch.cat([view(x) for view in self.convs], 1)
        result: torch.Tensor = self.project(views)
        return result


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(*_conv(256, _NARROW))
        self.aspp = SpatialPyramid(2048)
        self.classifier = nn.Sequential(
            *_conv(_WIDTH + _NARROW, _WIDTH, 3), nn.Conv2d(_WIDTH, 1, 1)
        )

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        fine = self.project(fine)
        coarse = F.interpolate(
            self.aspp(coarse), fine.shape[-2:], mode="bilinear", align_corners=False
        )
        logits: torch.Tensor = self.classifier(torch.cat([fine, coarse], 1))
        return logits


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        resnet = torchvision.models.resnet50(
            weights=None, replace_stride_with_dilation=[False, False, True]
        )
        self.conv1 = nn.Conv2d(3 + _GUIDES, 64, 7, 2, padding=3, bias=False)
        self.bn1 = resnet.bn1
        self.maxpool = resnet.maxpool
        self.layer1 = resnet.layer1
        self.layer2 = resnet.layer2
        self.layer3 = resnet.layer3
        self.layer4 = resnet.layer4

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.layer1(self.maxpool(F.relu(self.bn1(self.conv1(x)))))
        return fine, self.layer4(self.layer3(self.layer2(fine)))


class DeepLabS2M(nn.Module):
    """The public network.

    Attributes:
        stride: height and width of a picture should be multiples of it.
    """

    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.classifier = _Head()

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what can be computed without strokes: the pixels themselves."""
        return (pixels,)

    def decode(self, features: tuple[torch.Tensor, ...], guides: torch.Tensor) -> torch.Tensor:
        """Find objects.

        Args:
            features: normalized pictures ``(N, 3, H, W)``, from :meth:`encode`.
            guides: masks so far, positive and negative strokes, in 0-1, ``(N, 3, H, W)``.

        Returns:
            logits ``(N, 1, H, W)``.
        """
        x = torch.cat([*features, guides], 1)
        logits = self.classifier(*self.backbone(x))
        return F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
