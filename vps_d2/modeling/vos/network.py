"""STCN: a memory network for video object segmentation (arXiv 2106.05210).

Pictures are compared with pictures: the keys of a frame are made without masks, once for all
objects. What is remembered of an object, its values, is read by the affinity of keys and decoded
to a mask. :func:`build_stcn` makes the published network, whose parameters are named as in its
public checkpoints; :func:`build_small_stcn` makes one of the same classes for CPUs.

Shapes: ``N`` frames, ``K`` objects, ``C`` channels of a key, ``V`` of a value, ``H`` rows, ``W``
columns, both multiples of the network's stride; ``h`` and ``w`` are rows and columns of cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.vos.blocks import ResBlock, UpsampleBlock
from vps_d2.modeling.vos.encoders import (
    MobileNetKeyEncoder,
    ResNetKeyEncoder,
    ResNetValueEncoder,
    SmallValueEncoder,
)

KEY_CHANNELS = 64
"""Of a key, besides its place."""

# Probabilities are kept this far from 0 and 1 before they are turned into logits that are added.
_MARGIN = 0.02


@dataclass(frozen=True)
class FrameFeatures:
    """What is known of frames without their masks.

    Attributes:
        key: to compare frames by, ``(N, C, h, w)``.
        thin: for the decoder, at the same resolution.
        coarse: features of the key encoder at the same resolution.
        middle: features at twice the resolution.
        fine: features at four times the resolution.
    """

    key: torch.Tensor
    thin: torch.Tensor
    coarse: torch.Tensor
    middle: torch.Tensor
    fine: torch.Tensor

    def select(self, frames: torch.Tensor) -> "FrameFeatures":
        """Return the features of some frames, by index ``(K,)``; one may be there repeatedly."""
        return FrameFeatures(*(getattr(self, each.name)[frames] for each in fields(self)))


class KeyProjection(nn.Module):
    """A convolution from features to keys.

    Args:
        in_channels: of the features.
        kernel_size: of the convolution.
        length: of each key, which then only has a direction to learn; None leaves keys as they are.
        placed: append the place of a cell as two more channels, in short sides of the frame times a
            learned factor, so that cells far from each other are less alike.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        kernel_size: int = 3,
        length: float | None = None,
        placed: bool = False,
    ) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(in_channels, KEY_CHANNELS, kernel_size, padding=kernel_size // 2)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]
        self.length = length
        self.place_scale = nn.Parameter(torch.tensor(8.0)) if placed else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """From features ``(N, in_channels, h, w)`` to keys ``(N, C, h, w)``."""
        key: torch.Tensor = self.key_proj(features)
        if self.length is not None:
            key = self.length * F.normalize(key.float(), dim=1)
        if self.place_scale is None:
            return key
        count, _, rows, columns = key.shape
        unit = torch.div(self.place_scale, cast(int, torch.sym_min(rows, columns)))
        y = torch.arange(rows, device=key.device)[:, None].expand(rows, columns)
        x = torch.arange(columns, device=key.device).expand(rows, columns)
        place = torch.stack([y, x]).to(key.dtype) * unit
        return torch.cat([key, place.expand(count, -1, -1, -1)], 1)


class Decoder(nn.Module):
    """Decodes what was read from the memory to the logit of a mask.

    Args:
        in_channels: of values and thin features together.
        channels: of the three resolutions, the coarsest first.
        skip_channels: of the middle and fine features of the key encoder.
        fine_stride: of the fine features, in pixels.
        follows: take the object's mask in the last frame as a further input, and add the logits of
            that mask and of the mask that was read, which is the last channel but one of a value.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1024,
        channels: tuple[int, int, int] = (512, 256, 256),
        skip_channels: tuple[int, int] = (512, 256),
        fine_stride: int = 4,
        follows: bool = False,
    ) -> None:
        super().__init__()
        more = 3 if follows else 0
        self.fine_stride = fine_stride
        self.follows = follows
        self.compress = ResBlock(in_channels + more, channels[0])
        self.up_16_8 = UpsampleBlock(skip_channels[0] + more, channels[0], channels[1])
        self.up_8_4 = UpsampleBlock(skip_channels[1] + more, channels[1], channels[2])
        self.pred = nn.Conv2d(channels[2], 1, 3, padding=1)
        if follows:
            nn.init.normal_(self.pred.weight, std=1e-3)
            nn.init.zeros_(self.pred.bias)  # type: ignore[arg-type]
            # Of the mask that was read and of the last one.
            self.shares = nn.Parameter(torch.tensor([1.0, 0.5]))

    def forward(
        self, readout: torch.Tensor, features: FrameFeatures, last: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Decode objects.

        Args:
            readout: values read, ``(K, V, h, w)``.
            features: of the frame of each object, or of the one frame of all.
            last: of a decoder that follows, float32 ``(K, 3, H, W)``: the probabilities of the
                object and of all others in the last frame, and one where these are known; None if
                they are known of no object.

        Returns:
            logits float32 ``(K, 1, H, W)``.
        """
        count = readout.shape[0]
        thin, middle, fine = (
            each.expand(count, -1, -1, -1)
            for each in (features.thin, features.middle, features.fine)
        )
        if not self.follows:
            x = self.compress(torch.cat([readout, thin], 1))
            x = self.up_8_4(fine, self.up_16_8(middle, x))
            return self._enlarge(self.pred(F.relu(x)))
        if last is None:
            size = [self.fine_stride * each for each in fine.shape[-2:]]
            last = readout.new_zeros(count, 3, *size, dtype=torch.float32)
        quarter = F.avg_pool2d(last, self.fine_stride)
        half = F.avg_pool2d(quarter, 2)
        x = self.compress(torch.cat([readout, thin, F.avg_pool2d(half, 2)], 1))
        x = self.up_16_8(torch.cat([middle, half], 1), x)
        x = self.up_8_4(torch.cat([fine, quarter], 1), x)
        read = F.interpolate(
            _logit(readout[:, -2:-1]), size=fine.shape[-2:], mode="bilinear", align_corners=False
        )
        followed = _logit(quarter[:, :1]) * quarter[:, 2:]
        logits = self.pred(F.relu(x)).float() + self.shares[0] * read + self.shares[1] * followed
        return self._enlarge(logits)

    def _enlarge(self, logits: torch.Tensor) -> torch.Tensor:
        return F.interpolate(
            logits.float(), scale_factor=self.fine_stride, mode="bilinear", align_corners=False
        )


def _logit(probabilities: torch.Tensor) -> torch.Tensor:
    return torch.logit(probabilities.float(), eps=_MARGIN)


class STCNNetwork(nn.Module):
    """The memory network: encoders of keys and values, and a decoder.

    Args:
        key_encoder: see :mod:`vps_d2.modeling.vos.encoders`.
        value_encoder: likewise.
        key_proj: from coarse features to keys.
        key_comp: from coarse to thin features.
        decoder: of masks.
    """

    def __init__(
        self,
        *,
        key_encoder: ResNetKeyEncoder | MobileNetKeyEncoder,
        value_encoder: ResNetValueEncoder | SmallValueEncoder,
        key_proj: KeyProjection,
        key_comp: nn.Conv2d,
        decoder: Decoder,
    ) -> None:
        super().__init__()
        self.key_encoder = key_encoder
        self.value_encoder = value_encoder
        self.key_proj = key_proj
        self.key_comp = key_comp
        self.decoder = decoder

    @property
    def stride(self) -> int:
        """The side of a cell, in pixels."""
        return self.key_encoder.stride

    @property
    def value_channels(self) -> int:
        """``V``."""
        return self.value_encoder.value_channels

    def encode_key(self, frames: torch.Tensor) -> FrameFeatures:
        """Encode normalized frames ``(N, 3, H, W)``."""
        coarse, middle, fine = self.key_encoder(frames)
        return FrameFeatures(self.key_proj(coarse), self.key_comp(coarse), coarse, middle, fine)

    def encode_value(
        self, frames: torch.Tensor, coarse: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Encode objects, to remember them.

        Args:
            frames: normalized, that of each object ``(K, 3, H, W)`` or one of all.
            coarse: features of these frames.
            masks: of the object and of all others, float32 ``(K, 2, H, W)`` in 0-1.

        Returns:
            values ``(K, V, h, w)``.
        """
        count = masks.shape[0]
        values: torch.Tensor = self.value_encoder(
            frames.expand(count, -1, -1, -1), coarse.expand(count, -1, -1, -1), masks
        )
        return values

    def decode(
        self, readout: torch.Tensor, features: FrameFeatures, last: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits ``(K, 1, H, W)`` of objects; see :meth:`Decoder.forward`."""
        logits: torch.Tensor = self.decoder(readout, features, last)
        return logits


def with_others(masks: torch.Tensor) -> torch.Tensor:
    """Put beside the mask of each object of a frame the sum of all other objects' masks.

    Args:
        masks: ``(K, H, W)`` in 0-1.

    Returns:
        ``(K, 2, H, W)``.
    """
    return torch.stack([masks, masks.sum(0) - masks], 1)


def aggregate(probabilities: torch.Tensor) -> torch.Tensor:
    """Return logits of the background and of all objects, from those objects' own probabilities.

    This is the soft aggregation of STM (arXiv 1904.00607, eq. 3): a softmax over these logits says
    what each pixel is.

    Args:
        probabilities: ``(K, H, W)``, each as if there were no other object.

    Returns:
        float32 ``(K + 1, H, W)``, background first.
    """
    own = probabilities.float()
    background = torch.prod(1 - own, 0, keepdim=True)
    return torch.logit(torch.cat([background, own]), eps=1e-7)


def build_stcn() -> STCNNetwork:
    """Build the published network, with random weights."""
    return STCNNetwork(
        key_encoder=ResNetKeyEncoder(),
        value_encoder=ResNetValueEncoder(),
        key_proj=KeyProjection(1024),
        key_comp=nn.Conv2d(1024, 512, 3, padding=1),
        decoder=Decoder(),
    )


def build_small_stcn() -> STCNNetwork:
    """Build the network for CPUs, with random weights.

    It differs from the published one in what small training sets need: keys of one length that know
    their place, values that contain the mask itself, and a decoder that only learns what to change
    in the masks that it is given.
    """
    channels, middle, fine = MobileNetKeyEncoder.channels
    values, thin = 66, 64
    return STCNNetwork(
        key_encoder=MobileNetKeyEncoder(),
        value_encoder=SmallValueEncoder(feature_channels=channels, value_channels=values),
        key_proj=KeyProjection(channels, kernel_size=1, length=8.0, placed=True),
        key_comp=nn.Conv2d(channels, thin, 3, padding=1),
        decoder=Decoder(
            in_channels=values + thin,
            channels=(64, 32, 16),
            skip_channels=(middle, fine),
            fine_stride=2,
            follows=True,
        ),
    )


NETWORKS: dict[str, Callable[[], STCNNetwork]] = {"stcn": build_stcn, "small": build_small_stcn}
"""The networks by their names in MODEL.VOS.NETWORK."""
