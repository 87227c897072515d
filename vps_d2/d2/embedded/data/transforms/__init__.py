"""Augmentations, on fvcore's transforms; imported as ``T``."""

from fvcore.transforms.transform import (
    HFlipTransform,
    NoOpTransform,
    Transform,
    TransformList,
    VFlipTransform,
)

from vps_d2.d2.embedded.data.transforms.augmentation import (
    AugInput,
    Augmentation,
    AugmentationList,
)
from vps_d2.d2.embedded.data.transforms.augmentation_impl import (
    RandomFlip,
    Resize,
    ResizeShortestEdge,
)
from vps_d2.d2.embedded.data.transforms.transform import ResizeTransform

__all__ = [
    "AugInput",
    "Augmentation",
    "AugmentationList",
    "HFlipTransform",
    "NoOpTransform",
    "RandomFlip",
    "Resize",
    "ResizeShortestEdge",
    "ResizeTransform",
    "Transform",
    "TransformList",
    "VFlipTransform",
]
