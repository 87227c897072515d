"""Feature maps of images: ResNet (arXiv 1512.03385) and FPN (arXiv 1612.03144).

Shapes: N images, C channels, H rows, W columns. ResNet's stages 2-5 are "res2"-"res5" with strides
4-32, FPN's maps "p2"-"p6" with strides 4-64.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.modeling.layers import Conv2d, FeatureShape, FrozenBatchNorm2d, choose

__all__ = ["FPN", "ResNet", "build_backbone", "build_pyramid"]

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_STAGES = ("res2", "res3", "res4", "res5")


def _freeze(module: nn.Module) -> None:
    """Stop the training of a module, in place, batch statistics included."""
    for parameter in module.parameters():
        parameter.requires_grad = False
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.SyncBatchNorm):
                frozen = FrozenBatchNorm2d(child.num_features)
                frozen.load_state_dict(child.state_dict(), strict=False)
                setattr(parent, name, frozen)


class _Block(nn.Module):
    """A residual block: convolutions conv1, conv2, ... beside a shortcut.

    Args:
        convs: in order.
        shortcut: projection of the input; None to add it as it is.
    """

    def __init__(self, convs: Sequence[Conv2d], shortcut: Conv2d | None) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.names = [f"conv{number}" for number in range(1, len(convs) + 1)]
        for name, conv in zip(self.names, convs, strict=True):
            self.add_module(name, conv)
        for layer in self.children():
            weight_init.c2_msra_fill(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out = x
        for name in self.names:
            out = self.get_submodule(name)(out)
        out = out + (x if self.shortcut is None else self.shortcut(x))
        return out.relu_()


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: str) -> Conv2d | None:
    if in_channels == out_channels:
        return None
    return Conv2d(in_channels, out_channels, 1, stride=stride, bias=False, norm=norm)


def _basic_block(in_channels: int, out_channels: int, *, stride: int, norm: str) -> _Block:
    """Return a block of two 3x3 convolutions, as in ResNet-18 and 34."""
    first = Conv2d(in_channels, out_channels, 3, stride=stride, bias=False, norm=norm, relu=True)
    second = Conv2d(out_channels, out_channels, 3, bias=False, norm=norm)
    return _Block([first, second], _shortcut(in_channels, out_channels, stride, norm))


def _bottleneck(
    in_channels: int,
    out_channels: int,
    *,
    width: int,
    stride: int,
    norm: str,
    groups: int,
    stride_in_1x1: bool,
    dilation: int,
) -> _Block:
    """Return a block of convolutions of 1x1, 3x3 and 1x1, as in ResNet-50 and deeper.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        width: channels between the convolutions.
        stride: of the block.
        norm: normalization of every convolution.
        groups: of the 3x3 convolution.
        stride_in_1x1: whether the stride is in the first convolution, as in Caffe2's weights, or
            in the 3x3 one, as in torchvision's.
        dilation: of the 3x3 convolution.
    """
    strides = (stride, 1) if stride_in_1x1 else (1, stride)
    convs = [
        Conv2d(in_channels, width, 1, stride=strides[0], bias=False, norm=norm, relu=True),
        Conv2d(
            width, width, 3, stride=strides[1], bias=False, groups=groups, dilation=dilation,
            norm=norm, relu=True,
        ),
        Conv2d(width, out_channels, 1, bias=False, norm=norm),
    ]  # fmt: skip
    return _Block(convs, _shortcut(in_channels, out_channels, stride, norm))


class _Stem(nn.Module):
    """A 7x7 convolution and a pooling, to stride 4."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, channels, 7, stride=2, bias=False, norm=norm, relu=True)
        weight_init.c2_msra_fill(self.conv1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (N, 3, H, W) to (N, C, H / 4, W / 4)."""
        return F.max_pool2d(self.conv1(x), kernel_size=3, stride=2, padding=1)


class ResNet(nn.Module):
    """ResNet without its classifier.

    Args:
        depth: number of layers: 18, 34, 50, 101 or 152.
        out_features: the maps to return; stages after the last of them are left out.
        norm: normalization of every convolution; see ``layers.get_norm``.
        stem_channels: channels of the stem.
        res2_channels: channels of stage 2; each further stage has twice as many.
        freeze_at: how much is not trained: 1 the stem, 2 the stem and res2, ...
        groups: of the 3x3 convolutions of bottlenecks.
        width_per_group: channels of a group in stage 2's bottlenecks.
        stride_in_1x1: whether a bottleneck's stride is in its first convolution.
        res5_dilation: 2 keeps stage 5 at stride 16.

    Attributes:
        shapes: of the maps that it returns.

    Raises:
        ValueError: if the depth or a map is unknown, or if basic blocks should not have 64 channels
            in stage 2.
    """

    def __init__(
        self,
        *,
        depth: int,
        out_features: Sequence[str],
        norm: str,
        stem_channels: int = 64,
        res2_channels: int = 256,
        freeze_at: int = 0,
        groups: int = 1,
        width_per_group: int = 64,
        stride_in_1x1: bool = True,
        res5_dilation: int = 1,
    ) -> None:
        super().__init__()
        blocks = choose("MODEL.RESNETS.DEPTH", depth, _BLOCKS)
        basic = depth in (18, 34)
        if basic and (res2_channels, res5_dilation, groups) != (64, 1, 1):
            raise user_error(
                f"ResNet-{depth} needs MODEL.RESNETS.RES2_OUT_CHANNELS 64, RES5_DILATION 1 and "
                f"NUM_GROUPS 1, not {res2_channels}, {res5_dilation} and {groups}; set these keys."
            )
        known = {name: index for index, name in enumerate(_STAGES)}
        last = max(choose("MODEL.RESNETS.OUT_FEATURES", name, known) for name in out_features)
        self.out_features = tuple(out_features)
        self.stages = _STAGES[: last + 1]
        self.stem = _Stem(stem_channels, norm)
        self.shapes: dict[str, FeatureShape] = {}
        channels, stride = stem_channels, 4
        for index, name in enumerate(self.stages):
            dilation = res5_dilation if name == "res5" else 1
            first_stride = 1 if name == "res2" or dilation == 2 else 2
            out_channels = res2_channels * 2**index
            stage = nn.Sequential()
            for number in range(blocks[index]):
                block_stride = first_stride if number == 0 else 1
                if basic:
                    block = _basic_block(channels, out_channels, stride=block_stride, norm=norm)
                else:
                    block = _bottleneck(
                        channels,
                        out_channels,
                        width=groups * width_per_group * 2**index,
                        stride=block_stride,
                        norm=norm,
                        groups=groups,
                        stride_in_1x1=stride_in_1x1,
                        dilation=dilation,
                    )
                stage.append(block)
                channels = out_channels
            self.add_module(name, stage)
            stride *= first_stride
            if name in out_features:
                self.shapes[name] = FeatureShape(channels, stride)
        for module in [self.stem, *(self.get_submodule(name) for name in self.stages)][:freeze_at]:
            _freeze(module)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """From images (N, 3, H, W) to the maps of ``shapes``."""
        x = self.stem(x)
        maps = {}
        for name in self.stages:
            x = self.get_submodule(name)(x)
            if name in self.out_features:
                maps[name] = x
        return maps

    def output_shape(self) -> dict[str, FeatureShape]:
        """Return the properties of the maps, by name."""
        return self.shapes


class FPN(nn.Module):
    """A pyramid of maps with equal channels, each enriched by the coarser ones.

    Args:
        bottom_up: computes the maps to start from; each has half the size of the one before.
        in_features: which of them.
        out_channels: of every map of the pyramid.
        norm: normalization of the convolutions; "" for none.
        fuse_type: "sum" or "avg" of a map and the one above it.

    Attributes:
        shapes: of the maps that it returns: one for each of ``in_features``, then one of half the
            size of the last.
        size_divisibility: images must be padded to a multiple of it.

    Raises:
        ValueError: if the fuse type is unknown, or the last map is not of stride 32.
    """

    def __init__(
        self,
        bottom_up: ResNet,
        *,
        in_features: Sequence[str],
        out_channels: int,
        norm: str = "",
        fuse_type: str = "sum",
    ) -> None:
        super().__init__()
        known = {name: name for name in bottom_up.shapes}
        self.in_features = [choose("MODEL.FPN.IN_FEATURES", name, known) for name in in_features]
        self.share = choose("MODEL.FPN.FUSE_TYPE", fuse_type, {"sum": 1.0, "avg": 0.5})
        self.bottom_up = bottom_up
        self.shapes: dict[str, FeatureShape] = {}
        self.levels: list[int] = []
        for name in self.in_features:
            channels, stride = bottom_up.shapes[name]
            level = int(math.log2(stride))
            lateral = Conv2d(channels, out_channels, 1, norm=norm)
            output = Conv2d(out_channels, out_channels, 3, norm=norm)
            for layer in (lateral, output):
                weight_init.c2_xavier_fill(layer)
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", output)
            self.levels.append(level)
            self.shapes[f"p{level}"] = FeatureShape(out_channels, stride)
        if self.levels[-1] != 5:
            raise user_error(
                f"MODEL.FPN.IN_FEATURES ends with {self.in_features[-1]}, of stride {stride}; p6 "
                "is made from a map of stride 32, so let it end with res5."
            )
        self.shapes["p6"] = FeatureShape(out_channels, 2 * stride)
        self.size_divisibility = stride

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """From images (N, 3, H, W) to the maps of ``shapes``, fine ones first."""
        bottom_up = self.bottom_up(x)
        above: torch.Tensor | None = None
        maps: dict[str, torch.Tensor] = {}
        for name, level in zip(reversed(self.in_features), reversed(self.levels), strict=True):
            lateral = self.get_submodule(f"fpn_lateral{level}")(bottom_up[name])
            if above is not None:
                lateral = lateral + F.interpolate(above, scale_factor=2.0, mode="nearest")
                lateral = lateral * self.share if self.share != 1 else lateral
            above = lateral
            maps[f"p{level}"] = self.get_submodule(f"fpn_output{level}")(lateral)
        maps["p6"] = F.max_pool2d(maps["p5"], kernel_size=1, stride=2)
        return {name: maps[name] for name in self.shapes}

    def output_shape(self) -> dict[str, FeatureShape]:
        """Return the properties of the maps, by name."""
        return self.shapes


def build_backbone(cfg: CfgNode) -> ResNet | FPN:
    """Build the backbone that MODEL.BACKBONE.NAME names.

    Raises:
        ValueError: if a key asks for what is not there.
    """
    return choose("MODEL.BACKBONE.NAME", cfg.MODEL.BACKBONE.NAME, _BACKBONES)(cfg)


def build_pyramid(cfg: CfgNode) -> FPN:
    """Build the backbone that MODEL.BACKBONE.NAME names, for a model that needs a pyramid.

    Raises:
        ValueError: if it is another kind of backbone, or a key asks for what is not there.
    """
    return choose("MODEL.BACKBONE.NAME", cfg.MODEL.BACKBONE.NAME, _PYRAMIDS)(cfg)


def _build_resnet(cfg: CfgNode) -> ResNet:
    keys = cfg.MODEL.RESNETS
    return ResNet(
        depth=keys.DEPTH,
        out_features=keys.OUT_FEATURES,
        norm=keys.NORM,
        stem_channels=keys.STEM_OUT_CHANNELS,
        res2_channels=keys.RES2_OUT_CHANNELS,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
        groups=keys.NUM_GROUPS,
        width_per_group=keys.WIDTH_PER_GROUP,
        stride_in_1x1=keys.STRIDE_IN_1X1,
        res5_dilation=keys.RES5_DILATION,
    )


def _build_resnet_fpn(cfg: CfgNode) -> FPN:
    return FPN(
        _build_resnet(cfg),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


_PYRAMIDS = {"build_resnet_fpn_backbone": _build_resnet_fpn}
_BACKBONES: dict[str, Callable[[CfgNode], ResNet | FPN]] = {
    "build_resnet_backbone": _build_resnet,
    **_PYRAMIDS,
}
