"""Features of boxes, cut from the level of a pyramid that fits their size (arXiv 1612.03144)."""

import math
import sys
from collections.abc import Sequence

import torch
from torch import nn

from vps_d2.d2.embedded.modeling.layers import choose
from vps_d2.d2.embedded.ops import roi_align
from vps_d2.d2.embedded.structures import Boxes

__all__ = ["ROIPooler"]

# A box of this side is cut from the level of stride 2 ** 4.
_CANONICAL_SIZE, _CANONICAL_LEVEL = 224, 4


class ROIPooler(nn.Module):
    """RoIAlign over several levels, with half-pixel offsets ("aligned").

    Args:
        output_size: side of a result in samples.
        strides: of the levels, each twice the one before.
        sampling_ratio: points per sample and side; 0 for as many as there are pixels.
        pooler_type: must be "ROIAlignV2".
        key: of the configuration that holds the type, for errors.

    Raises:
        ValueError: if the type is another one.
    """

    def __init__(
        self,
        *,
        output_size: int,
        strides: Sequence[int],
        sampling_ratio: int,
        pooler_type: str,
        key: str,
    ) -> None:
        super().__init__()
        choose(key, pooler_type, {"ROIAlignV2": roi_align})
        self.output_size = output_size
        self.strides = list(strides)
        self.sampling_ratio = sampling_ratio
        self.min_level = int(math.log2(self.strides[0]))

    def forward(self, features: Sequence[torch.Tensor], boxes: Sequence[Boxes]) -> torch.Tensor:
        """Cut the features of boxes out of the maps.

        Args:
            features: maps (N, C, H, W) of the levels.
            boxes: of each of the N images.

        Returns:
            (R, C, output_size, output_size) for all R boxes, image by image.
        """
        index = torch.cat(
            [box.tensor.new_full((len(box), 1), number) for number, box in enumerate(boxes)]
        )
        regions = torch.cat([index, torch.cat([box.tensor for box in boxes])], dim=1)
        levels = self._levels(regions[:, 1:])
        first = features[0]
        shape = (len(regions), first.shape[1], self.output_size, self.output_size)
        pooled = first.new_zeros(shape)
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            chosen = torch.nonzero(levels == level)[:, 0]
            cut = roi_align(
                feature,
                regions[chosen].to(feature.dtype),
                self.output_size,
                spatial_scale=1 / stride,
                sampling_ratio=self.sampling_ratio,
            )
            pooled = pooled.index_put((chosen,), cut.to(pooled.dtype))
        return pooled

    def _levels(self, boxes: torch.Tensor) -> torch.Tensor:
        """Return the index of the level of each box, int64 (R,)."""
        side = Boxes(boxes).area().sqrt()
        level = _CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIZE + sys.float_info.epsilon)
        highest = self.min_level + len(self.strides) - 1
        return level.floor().clamp(self.min_level, highest).to(torch.int64) - self.min_level
