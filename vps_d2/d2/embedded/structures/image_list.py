"""Images of different sizes as one padded tensor."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["ImageList"]


class ImageList:
    """A padded batch that remembers the sizes before padding.

    Attributes:
        tensor: (N, ..., H, W).
        image_sizes: height and width of each of the N images, at most (H, W).
    """

    def __init__(self, tensor: torch.Tensor, image_sizes: list[tuple[int, int]]):
        self.tensor = tensor
        self.image_sizes = image_sizes

    @property
    def device(self) -> torch.device:
        """Where the images are kept."""
        return self.tensor.device

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """Return the images on another device or in another dtype, as ``Tensor.to``."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, idx: int) -> torch.Tensor:
        height, width = self.image_sizes[idx]
        return self.tensor[idx, ..., :height, :width]

    @staticmethod
    def from_tensors(
        tensors: Sequence[torch.Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: dict[str, int] | None = None,
    ) -> "ImageList":
        """Pad images at the right and at the bottom to a common size.

        Args:
            tensors: images (..., H_i, W_i) that agree in all but the last two dimensions.
            size_divisibility: the common height and width are multiples of it, if above 1.
            pad_value: value of the padding.
            padding_constraints: what a backbone asks for: "size_divisibility" replaces the
                argument, and "square_size", above 0, is the common height and width.
        """
        assert len(tensors) > 0, "no images"
        constraints = padding_constraints or {}
        image_sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in tensors]
        height = max(size[0] for size in image_sizes)
        width = max(size[1] for size in image_sizes)
        if constraints.get("square_size", 0) > 0:
            height = width = constraints["square_size"]
        stride = max(constraints.get("size_divisibility", size_divisibility), 1)
        height, width = (-(-side // stride) * stride for side in (height, width))
        padded = [
            F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]), value=pad_value)
            for image in tensors
        ]
        return ImageList(torch.stack(padded), image_sizes)
