"""Augmentations: policies that look at an input and decide on a transform."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import Transform, TransformList

__all__ = ["AugInput", "Augmentation", "AugmentationList"]


class Augmentation:
    """A policy; a subclass decides in ``get_transform`` and leaves the rest as it is.

    ``get_transform`` names as its parameters the attributes of the input that it looks at, such
    as ``(self, image, sem_seg)``; a single parameter is the image, whatever its name.

    Attributes:
        input_args: the names of these attributes; None until the first call has found them.
    """

    input_args: tuple[str, ...] | None = None

    def get_transform(self, *args: Any) -> Transform:
        """Decide on the transform for an input."""
        raise TypeError(f"{type(self).__name__} is to say what its get_transform does")

    def __call__(self, aug_input: "AugInput") -> Transform:
        """Transform an input in place, and return the transform that was applied."""
        if self.input_args is None:
            self.input_args = self._find_input_args()
        missing = [name for name in self.input_args if not hasattr(aug_input, name)]
        if missing:
            raise AttributeError(
                f"{type(self).__name__} looks at {', '.join(missing)}, which "
                f"{type(aug_input).__name__} lacks"
            )
        transform = self.get_transform(*(getattr(aug_input, name) for name in self.input_args))
        assert isinstance(transform, Transform), f"{type(self).__name__} returned {transform!r}"
        aug_input.transform(transform)
        return transform

    def _find_input_args(self) -> tuple[str, ...]:
        parameters = inspect.signature(self.get_transform).parameters
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if len(parameters) == 1:
            return ("image",)
        if any(parameter.kind in variadic for parameter in parameters.values()):
            raise TypeError(f"{type(self).__name__}.get_transform takes variable arguments")
        return tuple(parameters)

    def __repr__(self) -> str:
        names = inspect.signature(type(self).__init__).parameters
        shown = [f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name)]
        return f"{type(self).__name__}({', '.join(shown)})"


class _Always(Augmentation):
    """The policy that always decides on the same transform."""

    def __init__(self, transform: Transform):
        self.transform = transform

    def get_transform(self, image: np.ndarray) -> Transform:
        return self.transform


class AugmentationList(Augmentation):
    """Augmentations one after the other, each of which sees what the ones before have made.

    Args:
        augs: augmentations, or transforms that are always applied.
    """

    def __init__(self, augs: Sequence[Augmentation | Transform]):
        self.augs = [aug if isinstance(aug, Augmentation) else _Always(aug) for aug in augs]

    def __call__(self, aug_input: "AugInput") -> TransformList:
        """Transform an input in place, and return the transforms that were applied."""
        return TransformList([aug(aug_input) for aug in self.augs])


class AugInput:
    """What augmentations look at and change.

    Attributes:
        image: (H, W) or (H, W, C), uint8 or floating point.
        boxes: float (N, 4), left, top, right, bottom, or None.
        sem_seg: integer labels (H, W), or None.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        sem_seg: np.ndarray | None = None,
    ):
        assert isinstance(image, np.ndarray), f"an image of type {type(image).__name__}"
        assert image.ndim in (2, 3), f"an image of shape {image.shape}"
        self.image = image
        self.boxes = boxes
        self.sem_seg = sem_seg

    def transform(self, tfm: Transform) -> None:
        """Apply a transform to every attribute, in place."""
        self.image = tfm.apply_image(self.image)
        if self.boxes is not None:
            self.boxes = tfm.apply_box(self.boxes)
        if self.sem_seg is not None:
            self.sem_seg = tfm.apply_segmentation(self.sem_seg)

    def apply_augmentations(
        self, augmentations: Sequence[Augmentation | Transform]
    ) -> TransformList:
        """Apply augmentations in place, and return the transforms that were applied."""
        return AugmentationList(augmentations)(self)
