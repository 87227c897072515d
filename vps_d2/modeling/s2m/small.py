"""A small scribble-to-mask network for CPUs.

A MobileNetV2 encodes the picture once; a decoder takes in the mask so far and the strokes, and can
run again for every further stroke. Two things tell it about places far from a stroke: attention
between the coarsest cells, and how much each finer cell looks like those under the strokes.

Shapes: ``N`` pictures, ``C`` channels, ``H`` rows, ``W`` columns, multiples of 32; ``h`` and ``w``
are rows and columns of cells.
"""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from vps_d2.modeling.vos.blocks import ResBlock

_GUIDES = 3  # mask, positive and negative strokes
_LEVELS = (16, 24, 32, 96)  # channels of MobileNetV2 at strides 2, 4, 8 and 16
_DEEPEST = 320  # at stride 32
_WIDTHS = (24, 48, 96, 160)  # channels of the decoder at the same strides
_HEADS = 4
_SAMPLES = 64  # cells under the strokes of one kind that others are compared with
_SHARPNESS = 8.0  # of the soft minimum of their distances
_LOOK = 24  # channels by which cells are compared
_FAR = 4.0  # distance to strokes that do not exist


class Encoder(nn.Module):
    """MobileNetV2 (arXiv 1801.04381), named as torchvision's, up to its 320 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features[:18]

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalized pictures ``(N, 3, H, W)`` at strides 2, 4, 8, 16 and 32."""
        levels = [pixels]
        for first, last in ((0, 2), (2, 4), (4, 7), (7, 14), (14, 18)):
            levels.append(self.features[first:last](levels[-1]))
        return tuple(levels[1:])


class Attention(nn.Module):
    """A block of a transformer over the cells of a feature map.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From and to ``(N, C, h, w)``."""
        cells = x.flatten(2).transpose(1, 2)
        parts = self.qkv(self.norm1(cells)).unflatten(2, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()  # (N, heads, cells, C / heads)
        # For so few cells, this is faster on a CPU than the fused function of PyTorch.
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(-1)
        read = weights.to(value.dtype) @ value
        cells = cells + self.out(read.transpose(1, 2).flatten(2))
        cells = cells + self.mlp(self.norm2(cells))
        return cells.transpose(1, 2).unflatten(2, x.shape[-2:])


def distance_to_strokes(looks: torch.Tensor, strokes: torch.Tensor) -> torch.Tensor:
    """Return how far the look of each cell is from those under the strokes.

    Args:
        looks: of the cells, ``(N, C, h, w)``.
        strokes: share of each cell that they cover, ``(N, h, w)``.

    Returns:
        distance to the most similar cell, and a soft minimum, which is the lower the more cells are
        similar, ``(N, 2, h, w)``; 4 where there are no strokes.
    """
    cells = looks.flatten(2).transpose(1, 2)
    # So that not always the same ones are taken of long strokes, but the same in every run.
    spread = torch.arange(cells.shape[1], device=cells.device) * 0.6180339887 % 1.0
    covered = strokes.flatten(1) > 0
    ranks = torch.where(covered, spread + 1, torch.zeros_like(spread))
    values, chosen = ranks.topk(min(_SAMPLES, cells.shape[1]), 1)
    samples = cells.gather(1, chosen[..., None].expand(-1, -1, cells.shape[2]))
    found = torch.cdist(samples, cells)
    found = found.masked_fill((values == 0)[:, :, None], _FAR)
    soft = -(-_SHARPNESS * found).logsumexp(1) / _SHARPNESS
    both = torch.stack([found.amin(1), soft], 1)
    return both.unflatten(2, looks.shape[-2:])


class SmallS2M(nn.Module):
    """The small network.

    Attributes:
        stride: height and width of a picture must be multiples of it.
    """

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        two, sixteen = _WIDTHS[0], _WIDTHS[-1]
        self.encoder = Encoder()
        self.guides = nn.ModuleList()
        channels = 3 + _GUIDES
        for width in _WIDTHS:
            self.guides.append(nn.Conv2d(channels, width, 3, 2, padding=1))
            channels = width
        self.deepest = nn.Conv2d(_DEEPEST, sixteen, 1)
        self.skips = nn.ModuleList(
            nn.Conv2d(level, width, 1) for level, width in zip(_LEVELS, _WIDTHS, strict=True)
        )
        self.look = nn.Conv2d(3 + _LEVELS[1] + _LEVELS[2] + _LEVELS[3], _LOOK, 1)
        self.alike = nn.ModuleList(nn.Conv2d(8, width, 1) for width in _WIDTHS[1:])
        self.coarse = nn.Sequential(
            ResBlock(sixteen, sixteen), Attention(sixteen), Attention(sixteen)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(wide, width, 1) for wide, width in zip(_WIDTHS[1:], _WIDTHS, strict=False)
        )
        self.blocks = nn.ModuleList(ResBlock(width, width) for width in _WIDTHS)
        self.out = nn.Conv2d(two, 1, 3, padding=1)

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalized pictures ``(N, 3, H, W)``: the pixels, and features of five levels."""
        return (pixels, *self.encoder(pixels))

    def decode(self, features: tuple[torch.Tensor, ...], guides: torch.Tensor) -> torch.Tensor:
        """Find objects; see :meth:`DeepLabS2M.decode`."""
        pixels, *levels, deepest = features
        alike = self._compare(features, guides)
        x = torch.cat([pixels, guides], 1)
        given = []
        for layer, skip, level in zip(self.guides, self.skips, levels, strict=True):
            x = F.relu(layer(x))
            given.append(x + skip(level))
        for index, layer in enumerate(self.alike, 1):
            given[index] = given[index] + layer(_down(alike, given[index]))
        x = self.coarse(given[3] + _up(self.deepest(deepest), given[3]))
        x = self.blocks[3](x)
        for index in (2, 1, 0):
            x = self.blocks[index](given[index] + _up(self.narrow[index](x), given[index]))
        return _up(self.out(F.relu(x)), pixels)

    def _compare(self, features: tuple[torch.Tensor, ...], guides: torch.Tensor) -> torch.Tensor:
        """Return distances to the positive and to the negative strokes at stride 4, 8 channels."""
        pixels, _, fine, middle, coarse, _ = features
        colors = _down(pixels, fine).float()
        levels = [_down(colors, middle), _down(fine, middle), middle, _up(coarse, middle)]
        looks = self.look(torch.cat(levels, 1))
        looks = F.normalize(looks.float(), dim=1)
        found = []
        for kind in guides[:, 1:].unbind(1):
            for each in (looks, colors):
                covered = F.max_pool2d(kind, kind.shape[-1] // each.shape[-1])
                found.append(_up(distance_to_strokes(each, covered), colors))
        return torch.cat(found, 1)


def _up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _down(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, x.shape[-1] // like.shape[-1])
