"""Masks of the objects of one image.

Shapes: N objects, H rows, W columns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from vps_d2.d2.embedded.ops import roi_align
from vps_d2.d2.embedded.structures.boxes import Index

__all__ = ["BitMasks"]


class BitMasks:
    """N masks as bitmaps.

    Attributes:
        tensor: bool (N, H, W).
        image_size: H and W.
    """

    def __init__(self, tensor: torch.Tensor | np.ndarray):
        tensor = torch.as_tensor(tensor, dtype=torch.bool)
        assert tensor.ndim == 3, f"masks of shape {tuple(tensor.shape)}"
        self.image_size = tensor.shape[1:]
        self.tensor = tensor

    @property
    def device(self) -> torch.device:
        """The device that the masks are on."""
        return self.tensor.device

    def to(self, *args: Any, **kwargs: Any) -> "BitMasks":
        """Return the masks on another device."""
        return BitMasks(self.tensor.to(*args, **kwargs))

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Cut each mask out by its box and resize it: the targets of Mask R-CNN's mask head.

        Args:
            boxes: (N, 4), left, top, right, bottom.
            mask_size: side of the result in pixels.

        Returns:
            bool (N, mask_size, mask_size).
        """
        assert len(boxes) == len(self), f"{len(boxes)} boxes for {len(self)} masks"
        index = torch.arange(len(self), device=self.device, dtype=torch.float32)[:, None]
        regions = torch.cat([index, boxes.to(index)], dim=1)
        masks = self.tensor[:, None].float()
        # sampling_ratio 0: as many samples per bin as it has pixels.
        sampled = roi_align(masks, regions, mask_size, sampling_ratio=0)
        return sampled[:, 0] >= 0.5

    def __getitem__(self, item: Index) -> "BitMasks":
        chosen = self.tensor[item]
        return BitMasks(chosen[None] if isinstance(item, int) else chosen)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield from self.tensor

    def __repr__(self) -> str:
        return f"BitMasks(num_instances={len(self)})"
