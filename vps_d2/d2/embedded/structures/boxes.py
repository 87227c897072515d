"""Axis-aligned boxes.

Shapes: N and M boxes. Coordinates are float32 pixels, continuous: the pixel in column x covers
[x, x + 1], so a box from the first to the last of W columns is [0, W].
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import torch

__all__ = ["BoxMode", "Boxes", "pairwise_iou"]

# An index of boxes, masks or instances: an int, a slice, or a tensor of indices or bools.
Index = int | slice | torch.Tensor


class BoxMode(IntEnum):
    """Ways to write a box as four numbers; the values are Detectron2's."""

    XYXY_ABS = 0
    """Left, top, right and bottom, in pixels."""
    XYWH_ABS = 1
    """Left, top, width and height, in pixels."""

    @staticmethod
    def convert(box: Any, from_mode: "BoxMode", to_mode: "BoxMode") -> Any:
        """Convert boxes to another format.

        Args:
            box: an (N, 4) array or tensor; it is not changed.
            from_mode: format of ``box``.
            to_mode: format of the result.

        Returns:
            The same type as ``box``.
        """
        from_mode, to_mode = BoxMode(from_mode), BoxMode(to_mode)
        if from_mode == to_mode:
            return box
        sign = 1 if to_mode == BoxMode.XYXY_ABS else -1
        converted = box.copy() if isinstance(box, np.ndarray) else box.clone()
        converted[..., 2:4] += sign * box[..., :2]
        return converted


class Boxes:
    """N boxes of one image.

    Attributes:
        tensor: float32 (N, 4), each row left, top, right, bottom.
    """

    def __init__(self, tensor: torch.Tensor | np.ndarray | Sequence):
        tensor = torch.as_tensor(tensor, dtype=torch.float32)
        if tensor.numel() == 0:
            tensor = tensor.reshape(-1, 4)
        assert tensor.ndim == 2 and tensor.shape[1] == 4, f"boxes of shape {tuple(tensor.shape)}"
        self.tensor = tensor

    @property
    def device(self) -> torch.device:
        """The device that the boxes are on."""
        return self.tensor.device

    def clone(self) -> "Boxes":
        """Return a copy that shares no memory."""
        return Boxes(self.tensor.clone())

    def to(self, device: torch.device | str) -> "Boxes":
        """Return the boxes on another device; their dtype stays float32."""
        return Boxes(self.tensor.to(device=device))

    def area(self) -> torch.Tensor:
        """Return the areas, (N,), in square pixels."""
        return (self.tensor[:, 2:] - self.tensor[:, :2]).prod(dim=1)

    def clip(self, box_size: tuple[int, int]) -> None:
        """Limit the boxes, in place, to an image of the given height and width."""
        assert torch.isfinite(self.tensor).all(), "boxes contain infinities or NaN"
        height, width = box_size
        x = self.tensor[:, 0::2].clamp(0, width)
        y = self.tensor[:, 1::2].clamp(0, height)
        self.tensor = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)

    def nonempty(self, threshold: float = 0.0) -> torch.Tensor:
        """Return which boxes have both sides longer than ``threshold`` pixels, bool (N,)."""
        return (self.tensor[:, 2:] - self.tensor[:, :2] > threshold).all(dim=1)

    def inside_box(self, box_size: tuple[int, int], boundary_threshold: int = 0) -> torch.Tensor:
        """Return which boxes lie inside an image, bool (N,).

        Args:
            box_size: height and width of the image.
            boundary_threshold: pixels by which a box may stick out.
        """
        height, width = box_size
        limit = self.tensor.new_tensor([width, height]) + boundary_threshold
        low, high = self.tensor[:, :2], self.tensor[:, 2:]
        return ((low >= -boundary_threshold) & (high < limit)).all(dim=1)

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply the coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: Sequence["Boxes"]) -> "Boxes":
        """Join boxes, in order."""
        if not boxes_list:
            return cls(torch.empty(0, 4))
        return cls(torch.cat([boxes.tensor for boxes in boxes_list]))

    def __getitem__(self, item: Index) -> "Boxes":
        chosen = self.tensor[item]
        return Boxes(chosen[None] if isinstance(item, int) else chosen)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield from self.tensor

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"


def pairwise_iou(boxes1: Boxes, boxes2: Boxes) -> torch.Tensor:
    """Return the intersection over union of every pair of boxes.

    Args:
        boxes1: N boxes.
        boxes2: M boxes.

    Returns:
        float32 (N, M), 0 where a box is empty.
    """
    low = torch.maximum(boxes1.tensor[:, None, :2], boxes2.tensor[:, :2])
    high = torch.minimum(boxes1.tensor[:, None, 2:], boxes2.tensor[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    union = boxes1.area()[:, None] + boxes2.area() - shared
    # Two boxes without area have no union: 0 / 0.
    return (shared / union).nan_to_num(nan=0.0)
