"""Augmentations: policies that look at a picture and choose an fvcore transform.

They draw from NumPy's global generator. The module is imported as ``T``.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from fvcore.transforms.transform import (
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    Transform,
    TransformList,
    VFlipTransform,
)
from PIL import Image

__all__ = [
    "AugInput",
    "Augmentation",
    "AugmentationList",
    "NoOpTransform",
    "RandomCrop",
    "RandomFlip",
    "ResizeShortestEdge",
    "Transform",
]


class AugInput:
    """The data that augmentations read and change.

    Attributes:
        image: (H, W) or (H, W, C), uint8 or floating point.
    """

    def __init__(self, image: np.ndarray) -> None:
        assert isinstance(image, np.ndarray), f"an image of type {type(image).__name__}"
        assert image.ndim in (2, 3), f"an image of shape {image.shape}"
        self.image = image


class Augmentation(ABC):
    """A policy; a subclass only implements ``get_transform``."""

    @abstractmethod
    def get_transform(self, image: np.ndarray) -> Transform:
        """Decide on the transform for a picture."""

    def __call__(self, aug_input: AugInput) -> Transform:
        """Transform an input in place, and return the transform that was applied."""
        transform = self.get_transform(aug_input.image)
        aug_input.image = transform.apply_image(aug_input.image)
        return transform


class AugmentationList:
    """Augmentations in sequence, each applied to the result of the ones before.

    Args:
        augs: the augmentations.
    """

    def __init__(self, augs: Sequence[Augmentation]) -> None:
        self.augs = list(augs)

    def __call__(self, aug_input: AugInput) -> TransformList:
        """Transform an input in place, and return the transforms that were applied."""
        return TransformList([aug(aug_input) for aug in self.augs])


class RandomFlip(Augmentation):
    """Flip an image.

    Args:
        prob: probability of a flip.
        horizontal: exchange left and right.
        vertical: exchange top and bottom; exactly one of the two.

    Raises:
        ValueError: if both or none of the directions are asked for.
    """

    def __init__(self, prob: float = 0.5, *, horizontal: bool = True, vertical: bool = False):
        if horizontal == vertical:
            raise ValueError("a flip is either horizontal or vertical")
        self.prob = prob
        self.horizontal = horizontal
        self.vertical = vertical

    def get_transform(self, image: np.ndarray) -> Transform:
        """Decide by chance."""
        height, width = image.shape[:2]
        if np.random.uniform() >= self.prob:
            return NoOpTransform()
        return HFlipTransform(width) if self.horizontal else VFlipTransform(height)


class ResizeTransform(Transform):
    """Resize a picture with Pillow.

    Args:
        h: height before, in pixels.
        w: width before.
        new_h: height after.
        new_w: width after.
    """

    def __init__(self, h: int, w: int, new_h: int, new_w: int) -> None:
        super().__init__()
        self.h, self.w, self.new_h, self.new_w = h, w, new_h, new_w

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Resize a uint8 picture (H, W) or (H, W, 3), with interpolation."""
        return self._resize(img, Image.Resampling.BILINEAR)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resize a uint8 mask (H, W); its values are kept."""
        return self._resize(segmentation, Image.Resampling.NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Scale coordinates (N, 2), x and y in pixels."""
        return coords * np.array([self.new_w / self.w, self.new_h / self.h])

    def _resize(self, picture: np.ndarray, method: Image.Resampling) -> np.ndarray:
        assert picture.shape[:2] == (self.h, self.w), f"a picture of shape {picture.shape}"
        resized = Image.fromarray(picture).resize((self.new_w, self.new_h), method)
        return np.asarray(resized)


class ResizeShortestEdge(Augmentation):
    """Resize a picture so that its shorter edge has a random length; the aspect ratio is kept.

    Args:
        short_edge_length: lengths in pixels to choose from, or the smallest and the largest one; a
            chosen 0 leaves the picture as it is.
        max_size: most pixels of the longer edge; the picture is made smaller if it has more.
        sample_style: "choice" or "range".
    """

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
    ) -> None:
        assert sample_style in ("range", "choice"), sample_style
        lengths = short_edge_length
        self.lengths = (lengths, lengths) if isinstance(lengths, int) else tuple(lengths)
        assert sample_style == "choice" or len(self.lengths) == 2, f"a range of {self.lengths}"
        self.max_size = max_size
        self.is_range = sample_style == "range"

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the length."""
        if self.is_range:
            length = int(np.random.randint(self.lengths[0], self.lengths[1] + 1))
        else:
            length = int(np.random.choice(self.lengths))
        if length == 0:
            return NoOpTransform()
        height, width = image.shape[:2]
        scale = length / min(height, width)
        scale *= min(1.0, self.max_size / (scale * max(height, width)))
        return ResizeTransform(height, width, int(scale * height + 0.5), int(scale * width + 0.5))


class RandomCrop(Augmentation):
    """Cut a random rectangle out of a picture.

    Args:
        crop_type: what ``crop_size`` means. "relative": shares of height and width;
            "relative_range": the smallest such shares, the largest being 1; "absolute": height and
            width in pixels; "absolute_range": the smallest and the largest number of pixels for
            either.
        crop_size: two numbers.
    """

    def __init__(self, crop_type: str, crop_size: Sequence[float]) -> None:
        assert crop_type in ("relative_range", "relative", "absolute", "absolute_range"), crop_type
        self.crop_type = crop_type
        self.crop_size = tuple(crop_size)

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the size, where it is random, and the place."""
        height, width = image.shape[:2]
        rows, columns = self._draw_size(height, width)
        top = int(np.random.randint(height - rows + 1))
        left = int(np.random.randint(width - columns + 1))
        return CropTransform(left, top, columns, rows)

    def _draw_size(self, height: int, width: int) -> tuple[int, int]:
        first, second = self.crop_size
        if self.crop_type == "absolute":
            return min(int(first), height), min(int(second), width)
        if self.crop_type == "absolute_range":
            low, high = int(first), int(second)
            rows, columns = (
                int(np.random.randint(min(side, low), min(side, high) + 1))
                for side in (height, width)
            )
            return rows, columns
        shares: np.ndarray = np.asarray(self.crop_size, np.float32)
        if self.crop_type == "relative_range":
            shares = shares + np.random.rand(2) * (1 - shares)
        return int(height * shares[0] + 0.5), int(width * shares[1] + 0.5)
