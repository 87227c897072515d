"""ResNet (arXiv 1512.03385) with frozen batch normalization, under torchvision's names of weights.

Shapes: ``N`` frames, ``C`` channels, ``H`` rows, ``W`` columns.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from vps_d2.io.errors import UserError

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
"""Blocks of each of the four stages, by depth."""
_STEM_CHANNELS = 64
_WITHOUT_BOTTLENECK = (18, 34)
# Detectron2's names of weights and what torchvision calls them.
_DETECTRON2_NAMES = (
    (r"^(?:backbone\.)?(?:bottom_up\.)?(stem|res\d)\.", r"\1."),
    (r"^stem\.conv1\.norm\.", "bn1."),
    (r"^stem\.", ""),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
    (r"^res(\d)\.", lambda match: f"layer{int(match[1]) - 1}."),
)


class ResNetBody(nn.Module):
    """The stages of a ResNet, without its classifier.

    Batch normalization uses stored statistics and is not trained, as a batch of video frames is
    small and its frames are alike.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels of the first stage before its expansion; 64 is the published network.
        dilation: keep the resolution of the third stage in the fourth one (DC5).

    Attributes:
        channels: of the outputs of the four stages, which have strides 4, 8, 16 and 32.

    Raises:
        UserError: if there is no such network.
    """

    def __init__(self, *, depth: int = 50, width: int = 64, dilation: bool = False) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise UserError(
                f"a ResNet of {depth} layers is not known; use one of "
                f"{', '.join(map(str, BLOCKS))}."
            )
        block = _Basic if depth in _WITHOUT_BOTTLENECK else _Bottleneck
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm2d(_STEM_CHANNELS)
        self.channels = tuple(width * 2**stage * block.expansion for stage in range(4))
        inputs = (_STEM_CHANNELS, *self.channels)
        for stage, count in enumerate(BLOCKS[depth]):
            stride, spacing = (1 if stage == 0 else 2), 1
            if dilation and stage == 3:
                stride, spacing = 1, 2
            # The first block of a dilated stage still sees its neighbors at a distance of 1.
            blocks = [block(inputs[stage], width * 2**stage, stride, 1)]
            for _ in range(1, count):
                blocks.append(block(self.channels[stage], width * 2**stage, 1, spacing))
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """From frames ``(N, 3, H, W)`` to the outputs of the four stages, the finest first."""
        x = F.max_pool2d(_convolve(frames, self.conv1, self.bn1).relu_(), 3, stride=2, padding=1)
        outputs = []
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            outputs.append(x)
        return outputs

    def freeze(self, num_trained: int) -> None:
        """Stop the training of all but the last ``num_trained`` of the four stages."""
        trained = tuple(f"layer{stage}." for stage in range(5 - num_trained, 5))
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(trained))


class _Block(nn.Module):
    """A residual block: ``conv1``, ``bn1``, ``conv2``, ... beside a shortcut."""

    expansion = 1

    def __init__(self, convs: Sequence[nn.Conv2d], stride: int) -> None:
        super().__init__()
        in_channels, channels = convs[0].in_channels, convs[-1].out_channels
        self.count = len(convs)
        for number, conv in enumerate(convs, 1):
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", FrozenBatchNorm2d(conv.out_channels))
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                FrozenBatchNorm2d(channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else _convolve(x, *self.downsample)
        for number in range(1, self.count + 1):
            if number > 1:
                x = x.relu_()
            x = _convolve(x, getattr(self, f"conv{number}"), getattr(self, f"bn{number}"))
        return (x + shortcut).relu_()


class _Basic(_Block):
    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        convs = [
            _conv3x3(in_channels, width, stride, dilation),
            _conv3x3(width, width, 1, dilation),
        ]
        super().__init__(convs, stride)


class _Bottleneck(_Block):
    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        convs = [
            nn.Conv2d(in_channels, width, 1, bias=False),
            _conv3x3(width, width, stride, dilation),
            nn.Conv2d(width, width * self.expansion, 1, bias=False),
        ]
        super().__init__(convs, stride)


def _conv3x3(in_channels: int, channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
    )


def _convolve(x: torch.Tensor, conv: nn.Module, norm: nn.Module) -> torch.Tensor:
    """Return the normalized result of a convolution.

    Frozen normalization is a factor and a sum of each channel. As a part of the convolution it
    costs nothing; by itself, it takes longer than the convolution in bfloat16.
    """
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = conv.weight * scale[:, None, None, None]
    shift = norm.bias - norm.running_mean * scale
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation)


def rename_resnet(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return those weights of a checkpoint that are a ResNet's, under torchvision's names.

    Args:
        weights: of torchvision's ResNet, or of one of Detectron2, alone or in a detector.
    """
    renamed = {}
    for name, value in weights.items():
        for pattern, replacement in _DETECTRON2_NAMES:
            name = re.sub(pattern, replacement, name)  # type: ignore[call-overload]
        if re.match(r"(conv1|bn1|layer\d)\.", name) and not name.endswith("num_batches_tracked"):
            renamed[name] = value
    return renamed
