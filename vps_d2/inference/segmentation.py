"""Segmentation of single frames by a trained model.

Shapes: ``N`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB, arrays ``(N, H, W, 3)`` or
tensors ``(N, 3, H, W)``, on any device; masks are uint8 class maps.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

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


class FrameForm(NamedTuple):
    """The form in which a model takes frames, if not as they are.

    Attributes:
        short_side: pixels of the shorter side of a frame; 0 for those that it has.
        long_side: most pixels of the longer side, which limits the shorter one.
        bgr: whether the channels are blue, green, red.
    """

    short_side: int = 0
    long_side: int = 0
    bgr: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of a frame in this form, as Detectron2 rounds them."""
        if not self.short_side:
            return height, width
        scale = self.short_side / min(height, width)
        rows, columns = scale * height, scale * width
        if height < width:
            rows = float(self.short_side)
        else:
            columns = float(self.short_side)
        if max(rows, columns) > self.long_side:
            scale = self.long_side / max(rows, columns)
            rows, columns = rows * scale, columns * scale
        return int(rows + 0.5), int(columns + 0.5)

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Return frames uint8 RGB ``(N, H, W, 3)`` in this form."""
        rows, columns = self.size(*frames.shape[1:3])
        if (rows, columns) != frames.shape[1:3]:
            scaled = np.empty((len(frames), rows, columns, 3), np.uint8)
            for frame, small in zip(frames, scaled, strict=True):
                picture = Image.fromarray(frame)
                small[:] = np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR))
            frames = scaled
        return frames[..., ::-1] if self.bgr else frames


class FrameSegmenter:
    """Segment frames, a batch at a time.

    Args:
        model: any architecture for ``segmentation``.
        score_thresh: instances below it are not painted.
        batch_size: frames on the device at a time.
        form: in which the model takes frames, which must then be arrays; None for as they are.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        score_thresh: float,
        batch_size: int,
        form: FrameForm | None = None,
    ) -> None:
        self.model = model
        self.score_thresh = score_thresh
        self.batch_size = batch_size
        self.form = form
        self.taxonomy = find_taxonomy(model.cfg) or Taxonomy.numbered(MAX_CLASSES)

    def outputs(self, frames: Frames) -> Iterator[SegmentationOutput]:
        """Yield the model's output for each frame, of its size: instances or logits."""
        for batch in self._batches(frames):
            inputs = self._inputs(frames[batch])
            for entry, output in zip(inputs, self.model(inputs), strict=True):
                if self.form and "sem_seg" in output:
                    size = entry["height"], entry["width"]
                    output["sem_seg"] = _scale(output["sem_seg"], size)
                yield cast(SegmentationOutput, output)

    def _inputs(self, frames: Frames) -> list[dict[str, Any]]:
        height, width = _size_of(frames)
        if self.form:
            assert isinstance(frames, np.ndarray), "frames that are scaled must be an array"
            frames = self.form.apply(frames)
        images = frames if isinstance(frames, torch.Tensor) else to_tensor(frames)
        return [{"image": image, "height": height, "width": width} for image in images]

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
        if isinstance(self.model.model, ClassMapper) and not self.form:
            for batch in self._batches(frames):
                some = None if classes is None else classes[batch]
                masks[batch] = self.model.class_maps(self._inputs(frames[batch]), some)
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


def _size_of(frames: Frames) -> tuple[int, int]:
    height, width = frames.shape[-2:] if isinstance(frames, torch.Tensor) else frames.shape[1:3]
    return int(height), int(width)


def _scale(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale logits ``(C, H, W)`` to a size."""
    if tuple(logits.shape[-2:]) == size:
        return logits
    # Smooth scaling, since the class is only chosen afterwards.
    scaled = F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)
    return scaled[0]


def _no_masks(frames: Frames) -> np.ndarray:
    return np.zeros((len(frames), *_size_of(frames)), np.uint8)
