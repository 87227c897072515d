"""U-Net (arXiv 1505.04597): semantic segmentation of one frame.

Shapes: ``N`` frames, ``C`` channels or classes, ``H`` rows, ``W`` columns.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.data.metadata import config_taxonomy
from vps_d2.data.taxonomy import NO_CLASS
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.frames.simvp import pad_to_multiple
from vps_d2.modeling.losses import IGNORED, dice_loss, lovasz_softmax_loss, mask_cross_entropy
from vps_d2.modeling.outputs import SegmentationOutput, best_class
from vps_d2.modeling.precision import use_channels_last, wants_channels_last
from vps_d2.modeling.tasks import Task


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNetNetwork(nn.Module):
    """U-Net with batch normalization and padding; frames of any size.

    Args:
        num_classes: ``C`` of the result.
        in_channels: of a frame.
        channels: of each level, from the finest; each has half the resolution of the one before.
        patch_size: side of the squares of pixels that the first level sees as one; 1 is the
            paper's network, 2 takes a quarter of the time.
        channels_last: lay out convolutions with the channels innermost.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        channels: Sequence[int] = (24, 48, 96, 192, 256),
        patch_size: int = 2,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.stride = patch_size * 2 ** (len(channels) - 1)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        widths = [in_channels * patch_size**2, *channels]
        self.down = nn.ModuleList(
            _double_conv(first, second) for first, second in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            _double_conv(fine + coarse, fine) for fine, coarse in itertools.pairwise(channels)
        )
        self.head = nn.Conv2d(channels[0], num_classes * patch_size**2, kernel_size=1)
        if channels_last:
            use_channels_last(self)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """From frames ``(N, in_channels, H, W)`` to logits ``(N, num_classes, H, W)``."""
        height, width = frames.shape[-2:]
        logits = self.head(self.features(frames))
        return F.pixel_shuffle(logits, self.patch_size)[..., :height, :width]

    def class_maps(
        self, frames: torch.Tensor, classes: Sequence[np.ndarray | None] | None = None
    ) -> torch.Tensor:
        """From frames to the class of each pixel, faster than via logits.

        The classes are compared while the pixels of a patch are still channels, one frame at a
        time: its scores fit into a cache, and one number per pixel has to be rearranged instead of
        ``num_classes``.

        Args:
            frames: ``(N, in_channels, H, W)``.
            classes: for each frame the classes that may be in it besides 0, None for all.

        Returns:
            uint8 ``(N, H, W)``.
        """
        height, width = frames.shape[-2:]
        features = self.features(frames)
        rows, columns = features.shape[-2:]
        weight = self.head.weight.flatten(1)
        assert self.head.bias is not None
        bias = self.head.bias[:, None]
        patches = []
        for index, each in enumerate(features):
            # As a matrix product, the 1x1 convolution has a layout in which comparing is fast.
            scores = torch.addmm(bias, weight, each.permute(1, 2, 0).flatten(0, 1).T)
            scores = scores.view(-1, self.patch_size**2, rows, columns)
            patches.append(best_class(scores, None if classes is None else classes[index]))
        return F.pixel_shuffle(torch.stack(patches), self.patch_size)[:, 0, :height, :width]

    def features(self, frames: torch.Tensor) -> torch.Tensor:
        """From frames to what the head maps to scores, of patches of padded frames."""
        x = pad_to_multiple(frames, self.stride)
        x = F.pixel_unshuffle(x, self.patch_size).contiguous(memory_format=self.memory_format)
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for skip, block in zip(reversed(skips[:-1]), reversed(self.up), strict=True):
            x = block(torch.cat([skip, F.interpolate(x, scale_factor=2, mode="nearest")], dim=1))
        return x


@META_ARCH_REGISTRY.register()
class UNet(PixelArchitecture):
    """U-Net behind Detectron2's model interface.

    Args:
        network: maps ``(N, 3, H, W)`` to logits ``(N, C, H, W)``.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        loss_weights: of "cross_entropy", "dice" and "lovasz"; losses of weight 0 are not computed.
        background_weight: see :func:`mask_cross_entropy`.
    """

    task: Task = "segmentation"

    @configurable
    def __init__(
        self,
        *,
        network: UNetNetwork,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        loss_weights: dict[str, float],
        background_weight: float = 1.0,
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        if not any(loss_weights.values()):
            raise UserError(
                "MODEL.UNET.LOSS.CROSS_ENTROPY, DICE and LOVASZ are all 0, so nothing would be "
                "learned; make one positive."
            )
        self.network = network
        self.loss_weights = loss_weights
        self.background_weight = background_weight

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.MODEL.UNET
        return {
            "network": UNetNetwork(
                num_classes=config_taxonomy(cfg).num_classes,
                channels=keys.CHANNELS,
                patch_size=keys.PATCH_SIZE,
                channels_last=wants_channels_last(cfg),
            ),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "loss_weights": {
                "cross_entropy": keys.LOSS.CROSS_ENTROPY,
                "dice": keys.LOSS.DICE,
                "lovasz": keys.LOSS.LOVASZ,
            },
            "background_weight": keys.LOSS.BACKGROUND_WEIGHT,
        }

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[SegmentationOutput]:
        """Segment frames.

        Args:
            batched_inputs: for each frame ``image`` ``(3, H, W)``, 0-255, all of one size.

        Returns:
            ``sem_seg`` of each frame, logits float32 ``(C, H, W)``.

        Raises:
            UserError: if the frames are not of one size.
        """
        logits = self.network(self._stack(batched_inputs))
        return [{"sem_seg": each} for each in logits.float()]

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch.

        Args:
            batched_inputs: as :meth:`infer` takes them, with ``sem_seg`` int64 ``(H, W)``, NO_CLASS
                where a pixel does not count.

        Returns:
            ``loss_cross_entropy``, ``loss_dice`` and ``loss_lovasz``, of those that have a weight.

        Raises:
            UserError: if the frames are not of one size.
        """
        logits = self.network(self._stack(batched_inputs))
        labels = torch.stack([frame["sem_seg"].to(self.device) for frame in batched_inputs])
        return self._losses(logits, labels.masked_fill(labels == NO_CLASS, IGNORED))

    def class_maps(
        self,
        batched_inputs: list[dict[str, Any]],
        classes: Sequence[np.ndarray | None] | None = None,
    ) -> torch.Tensor:
        """Segment frames into class maps alone; see :class:`vps_d2.modeling.outputs.ClassMapper`.

        Raises:
            UserError: if the frames are not of one size.
        """
        return self.network.class_maps(self._stack(batched_inputs), classes)

    def _stack(self, batched_inputs: list[dict[str, Any]]) -> torch.Tensor:
        return self.stack([frame["image"] for frame in batched_inputs], "frames")

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        weights = self.loss_weights
        losses = {}
        if weights["cross_entropy"]:
            value = mask_cross_entropy(logits, labels, self.background_weight)
            losses["loss_cross_entropy"] = weights["cross_entropy"] * value
        if weights["dice"]:
            losses["loss_dice"] = weights["dice"] * dice_loss(logits, labels)
        if weights["lovasz"]:
            losses["loss_lovasz"] = weights["lovasz"] * lovasz_softmax_loss(logits, labels)
        return losses
