"""Translators of SimVP, from the features of the input frames to those of the targets.

A translator sees the time axis as channels: ``(N, T_in * C, H, W)`` in, ``(N, T_out * C, H, W)``
out, for ``N`` videos of ``T`` frames with ``C`` features of ``H`` rows and ``W`` columns.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn


def _init_by_fan_out(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DilatedDepthwise(nn.Conv2d):
    """A dilated depthwise convolution, on a CPU always in the format of its weights.

    In bfloat16 with channels last, oneDNN 3.13 computes wrong gradients of the weights, sometimes
    NaN. In float32 they are correct, and as fast. Arguments are those of ``nn.Conv2d``.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to the same dtype."""
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight.dtype)).to(input.dtype)


def _depthwise(channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv2d:
    return (DilatedDepthwise if dilation > 1 else nn.Conv2d)(
        channels,
        channels,
        kernel_size,
        padding=dilation * (kernel_size - 1) // 2,
        dilation=dilation,
        groups=channels,
    )


class GatedAttention(nn.Module):
    """Gated spatiotemporal attention: a large depthwise kernel, half of whose output is a gate.

    The kernel of 21 pixels is made of a 5x5 and a 7x7 with dilation 3 (arXiv 2211.12509, sec. 3.2).

    Args:
        channels: of input and output.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.local = _depthwise(channels, 5)
        self.far = _depthwise(channels, 7, dilation=3)
        self.gate = nn.Conv2d(channels, 2 * channels, 1)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to the same shape, with a shortcut around the attention."""
        attention = self.far(self.local(self.activation(self.project_in(x))))
        values, gates = self.gate(attention).chunk(2, dim=1)
        return x + self.project_out(torch.sigmoid(gates) * values)


class GatedBlock(nn.Module):
    """One block of the gSTA translator: gated attention, then a convolutional MLP.

    Args:
        in_channels: of the input.
        out_channels: of the output; if it differs, a 1x1 convolution changes the number.
        mlp_ratio: hidden channels of the MLP per input channel.
    """

    def __init__(self, *, in_channels: int, out_channels: int, mlp_ratio: float = 8.0) -> None:
        super().__init__()
        hidden = int(in_channels * mlp_ratio)
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.attention = GatedAttention(channels=in_channels)
        self.norm2 = nn.BatchNorm2d(in_channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1),
            _depthwise(hidden, 3),
            nn.GELU(),
            nn.Conv2d(hidden, in_channels, 1),
        )
        # Small at first, so that a deep translator starts near the identity.
        self.scale1 = nn.Parameter(torch.full((in_channels, 1, 1), 0.01))
        self.scale2 = nn.Parameter(torch.full((in_channels, 1, 1), 0.01))
        self.apply(_init_by_fan_out)
        self.reduction: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.reduction = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        x = x + self.scale1.to(x.dtype) * self.attention(self.norm1(x))
        x = x + self.scale2.to(x.dtype) * self.mlp(self.norm2(x))
        return self.reduction(x)


class GatedTranslator(nn.Sequential):
    """The gSTA translator (arXiv 2211.12509): blocks of one width after another.

    Args:
        in_channels: ``T_in * C``.
        hidden_channels: width between first and last block (``hid_T``).
        out_channels: ``T_out * C``.
        num_layers: number of blocks (``N_T``), at least 2.
        mlp_ratio: see :class:`GatedBlock`.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        mlp_ratio: float = 8.0,
    ) -> None:
        if num_layers < 2:
            raise ValueError(f"a translator needs at least 2 layers, not {num_layers}")
        widths = [in_channels] + [hidden_channels] * (num_layers - 1) + [out_channels]
        super().__init__(
            *(
                GatedBlock(in_channels=left, out_channels=right, mlp_ratio=mlp_ratio)
                for left, right in pairwise(widths)
            )
        )


class InceptionBlock(nn.Module):
    """Grouped convolutions of several kernel sizes, side by side and summed.

    Args:
        in_channels: of the input.
        hidden_channels: after the first, 1x1 convolution.
        out_channels: of the output.
        kernel_sizes: of the branches, pixels.
        groups: of convolutions and normalization; 1 is used if the channels cannot be divided by
            it.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        kernel_sizes: tuple[int, ...] = (3, 5, 7, 11),
        groups: int = 8,
    ) -> None:
        super().__init__()
        if hidden_channels % groups or out_channels % groups:
            groups = 1
        self.reduction = nn.Conv2d(in_channels, hidden_channels, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(hidden_channels, out_channels, size, padding=size // 2, groups=groups),
                nn.GroupNorm(groups, out_channels),
                nn.LeakyReLU(0.2),
            )
            for size in kernel_sizes
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        x = self.reduction(x)
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class InceptionTranslator(nn.Module):
    """The IncepU translator (arXiv 2206.05099): Inception blocks in a U with skips.

    Args:
        in_channels: ``T_in * C``.
        hidden_channels: width inside (``hid_T``).
        out_channels: ``T_out * C``.
        num_layers: number of blocks on each side of the U (``N_T``), at least 2.
    """

    def __init__(
        self, *, in_channels: int, hidden_channels: int, out_channels: int, num_layers: int
    ) -> None:
        super().__init__()
        if num_layers < 2:
            raise ValueError(f"a translator needs at least 2 layers, not {num_layers}")
        hidden = hidden_channels

        def block(left: int, right: int) -> InceptionBlock:
            return InceptionBlock(in_channels=left, hidden_channels=hidden // 2, out_channels=right)

        self.down = nn.ModuleList(
            block(in_channels if layer == 0 else hidden, hidden) for layer in range(num_layers)
        )
        self.up = nn.ModuleList(
            block(
                hidden if layer == 0 else 2 * hidden,
                out_channels if layer == num_layers - 1 else hidden,
            )
            for layer in range(num_layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.up[0](skips.pop())
        for block in self.up[1:]:
            x = block(torch.cat([x, skips.pop()], dim=1))
        return x


TRANSLATORS: dict[str, Callable[..., nn.Module]] = {
    "gSTA": GatedTranslator,
    "IncepU": InceptionTranslator,
}
"""Translators by name, as in MODEL.SIMVP.TRANSLATOR.

Each is called with the keyword arguments ``in_channels``, ``hidden_channels``, ``out_channels`` and
``num_layers``, and with the network's ``translator_options``.
"""
