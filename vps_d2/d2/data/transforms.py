"""Augmentation: Detectron2's ``detectron2.data.transforms``, imported as ``T``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data.transforms import (
        AugInput,
        Augmentation,
        AugmentationList,
        NoOpTransform,
        RandomCrop,
        RandomFlip,
        ResizeShortestEdge,
        Transform,
    )
else:
    from vps_d2.d2.embedded.data.transforms import (
        AugInput,
        Augmentation,
        AugmentationList,
        NoOpTransform,
        RandomCrop,
        RandomFlip,
        ResizeShortestEdge,
        Transform,
    )

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
