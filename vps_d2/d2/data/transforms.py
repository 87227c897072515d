"""Augmentation: Detectron2's ``detectron2.data.transforms``, imported as ``T``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data.transforms import (
        AugInput,
        Augmentation,
        AugmentationList,
        HFlipTransform,
        NoOpTransform,
        RandomFlip,
        Resize,
        ResizeShortestEdge,
        ResizeTransform,
        Transform,
        TransformList,
    )
else:
    from vps_d2.d2.embedded.data.transforms import (
        AugInput,
        Augmentation,
        AugmentationList,
        HFlipTransform,
        NoOpTransform,
        RandomFlip,
        Resize,
        ResizeShortestEdge,
        ResizeTransform,
        Transform,
        TransformList,
    )

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
]
