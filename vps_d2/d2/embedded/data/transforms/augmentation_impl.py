"""Augmentations: flipping and resizing. They draw from NumPy's global generator."""

import sys
from collections.abc import Sequence

import numpy as np
from fvcore.transforms.transform import HFlipTransform, NoOpTransform, Transform, VFlipTransform
from PIL import Image

from vps_d2.d2.embedded.data.transforms.augmentation import Augmentation
from vps_d2.d2.embedded.data.transforms.transform import ResizeTransform

__all__ = ["RandomFlip", "Resize", "ResizeShortestEdge"]


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


class Resize(Augmentation):
    """Resize an image to a fixed size.

    Args:
        shape: height and width in pixels, or one number for both.
        interp: a filter of PIL.
    """

    def __init__(self, shape: int | Sequence[int], interp: int = Image.Resampling.BILINEAR):
        height, width = (shape, shape) if isinstance(shape, int) else shape
        self.shape = (height, width)
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        """Return the way from the image's size to the fixed one."""
        return ResizeTransform(image.shape[0], image.shape[1], *self.shape, self.interp)


class ResizeShortestEdge(Augmentation):
    """Resize an image to a length of its shorter edge, keeping its shape.

    Args:
        short_edge_length: in pixels: one number; with "range" the smallest and the largest; with
            "choice" the ones to choose from. 0 leaves the image as it is.
        max_size: the longer edge becomes no longer than this; the shorter one gives way.
        sample_style: "range" or "choice".
        interp: a filter of PIL.

    Raises:
        ValueError: if the style is unknown, or a range has not two ends.
    """

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = Image.Resampling.BILINEAR,
    ):
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length, short_edge_length)
        if sample_style not in ("range", "choice"):
            raise ValueError(f"sample_style is range or choice, not {sample_style}")
        if sample_style == "range" and len(short_edge_length) != 2:
            raise ValueError(f"a range has two ends: {short_edge_length}")
        self.short_edge_length = short_edge_length
        self.max_size = max_size
        self.sample_style = sample_style
        self.interp = interp

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw a length."""
        height, width = image.shape[:2]
        if self.sample_style == "range":
            length = np.random.randint(self.short_edge_length[0], self.short_edge_length[1] + 1)
        else:
            length = np.random.choice(self.short_edge_length)
        if length == 0:
            return NoOpTransform()
        new_size = self.get_output_shape(height, width, int(length), self.max_size)
        return ResizeTransform(height, width, *new_size, self.interp)

    @staticmethod
    def get_output_shape(
        oldh: int, oldw: int, short_edge_length: int, max_size: int
    ) -> tuple[int, int]:
        """Return the height and width that an image gets, in pixels."""
        scale = min(short_edge_length / min(oldh, oldw), max_size / max(oldh, oldw))
        return int(oldh * scale + 0.5), int(oldw * scale + 0.5)
