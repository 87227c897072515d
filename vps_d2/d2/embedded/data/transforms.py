"""Augmentations: policies that look at a picture and choose an fvcore transform.

They draw from NumPy's global generator. The module is imported as ``T``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from fvcore.transforms.transform import (
    HFlipTransform,
    NoOpTransform,
    Transform,
    TransformList,
    VFlipTransform,
)

__all__ = [
    "AugInput",
    "Augmentation",
    "AugmentationList",
    "NoOpTransform",
    "RandomFlip",
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
