"""Images of different sizes as one padded tensor."""

from collections.abc import Sequence

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

    @staticmethod
    def from_tensors(tensors: Sequence[torch.Tensor], size_divisibility: int) -> "ImageList":
        """Pad images with zeros at the right and at the bottom to a common size.

        Args:
            tensors: images (..., H_i, W_i) that agree in all but the last two dimensions.
            size_divisibility: the common height and width are multiples of it.
        """
        assert len(tensors) > 0, "no images"
        image_sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in tensors]
        height, width = (
            -(-max(sides) // size_divisibility) * size_divisibility
            for sides in zip(*image_sizes, strict=True)
        )
        padded = [
            F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
            for image in tensors
        ]
        return ImageList(torch.stack(padded), image_sizes)
