"""Segmentation of single frames by a trained model.

Shapes: ``N`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB, arrays ``(N, H, W, 3)`` or
tensors ``(N, 3, H, W)``, on any device; masks are uint8 class maps.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch

from vps_d2.data.mappers import to_tensor
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.taxonomy import MAX_CLASSES, Taxonomy
from vps_d2.inference.models import LoadedModel
from vps_d2.modeling.outputs import (
    ClassMapper,
    SegmentationOutput,
    confidence,
    output_to_mask,
)

Frames = np.ndarray | torch.Tensor


class FrameSegmenter:
    """Segment frames, a batch at a time.

    Args:
        model: any architecture for ``segmentation``.
        score_thresh: instances below it are not painted.
        batch_size: frames on the device at a time.
    """

    def __init__(self, model: LoadedModel, *, score_thresh: float, batch_size: int) -> None:
        self.model = model
        self.score_thresh = score_thresh
        self.batch_size = batch_size
        self.taxonomy = find_taxonomy(model.cfg) or Taxonomy.numbered(MAX_CLASSES)

    def outputs(self, frames: Frames) -> Iterator[SegmentationOutput]:
        """Yield the model's output for each frame: instances or logits."""
        for batch in self._batches(frames):
            yield from cast(list[SegmentationOutput], self.model(_inputs(frames[batch])))

    def _batches(self, frames: Frames) -> Iterator[slice]:
        for start in range(0, len(frames), self.batch_size):
            yield slice(start, start + self.batch_size)

    def segment(
        self, frames: Frames, classes: Sequence[np.ndarray | None] | None = None
    ) -> np.ndarray:
        """Segment frames.

        Args:
            frames: of one size.
            classes: for each frame the class numbers that may be in it, None for all.

        Returns:
            masks ``(N, H, W)``.
        """
        masks = _no_masks(frames)
        if isinstance(self.model.model, ClassMapper):
            for batch in self._batches(frames):
                some = None if classes is None else classes[batch]
                masks[batch] = self.model.class_maps(_inputs(frames[batch]), some)
            return masks
        for index, output in enumerate(self.outputs(frames)):
            allowed = None if classes is None else classes[index]
            masks[index] = self._class_map(output, allowed)
        return masks

    def label(self, frames: Frames) -> tuple[np.ndarray, float]:
        """Segment frames of one size, and return how sure the model is.

        Returns:
            masks ``(N, H, W)``, and for each the mean probability of the pixels of objects, 0
            without objects.
        """
        masks, total, pixels = _no_masks(frames), 0.0, 0
        for index, output in enumerate(self.outputs(frames)):
            masks[index] = self._class_map(output)
            probability, count = confidence(output, self.score_thresh)
            total, pixels = total + probability, pixels + count
        return masks, total / pixels if pixels else 0.0

    def _class_map(
        self, output: SegmentationOutput, classes: np.ndarray | None = None
    ) -> np.ndarray:
        return output_to_mask(
            output,
            self.score_thresh,
            classes,
            one_per_class=self.taxonomy.one_object_per_class,
        )

    def fingerprint(self) -> str:
        """Return a hash of the model, independent of its path and device."""
        return self.model.fingerprint()


def _inputs(frames: Frames) -> list[dict[str, Any]]:
    images = frames if isinstance(frames, torch.Tensor) else to_tensor(frames)
    height, width = images.shape[-2:]
    return [{"image": image, "height": height, "width": width} for image in images]


def _no_masks(frames: Frames) -> np.ndarray:
    size = frames.shape[-2:] if isinstance(frames, torch.Tensor) else frames.shape[1:3]
    return np.zeros((len(frames), *size), np.uint8)
