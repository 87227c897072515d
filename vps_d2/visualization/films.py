"""Pictures of a whole video: the input, the prediction and the truth.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB, masks uint8 class numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import (
    MASK_FILE,
    frame_indices,
    read_frames,
    read_masks,
)
from vps_d2.io.errors import UserError
from vps_d2.visualization.drawing import caption, colorize_mask, enlarge, overlay_mask, strip

_BLANK = 230
_HOLD = 5  # how many times the last picture is repeated


class Prediction(Protocol):
    """The prediction of a pipeline for a video, as far as pictures show it."""

    @property
    def frames(self) -> np.ndarray:
        """Predicted frames, ``(T, H, W, 3)``."""

    @property
    def mask(self) -> np.ndarray:
        """The predicted mask, ``(H, W)``."""

    @property
    def frame_numbers(self) -> range:
        """Which frames of the video ``frames`` are, counted from 1."""

    @property
    def mask_number(self) -> int:
        """Which frame the mask is of."""

    @property
    def num_known(self) -> int:
        """The number of input frames."""

    def captions(self) -> list[str]:
        """Return the caption of each frame."""


class Pipeline(Protocol):
    """Something that predicts videos."""

    @property
    def num_known(self) -> int:
        """The number of input frames of a video."""

    def __call__(self, frames: np.ndarray) -> Sequence[Prediction]:
        """Predict videos from their first frames, uint8 ``(N, T, H, W, 3)``."""


@dataclass
class VideoPictures:
    """Everything that can be shown of a video.

    Args:
        name: of the video.
        frames: ``(T, H, W, 3)``.
        taxonomy: of all masks.
        masks: ``(T, H, W)``, if it is labeled.
        true_mask: ``(H, W)``, of the predicted frame, or of the last one, if known.
        prediction: of the pipeline, if there is one.
    """

    name: str
    frames: np.ndarray
    taxonomy: Taxonomy
    masks: np.ndarray | None = None
    true_mask: np.ndarray | None = None
    prediction: Prediction | None = None

    @classmethod
    def read(
        cls,
        folder: Path,
        taxonomy: Taxonomy,
        pipeline: Pipeline | None = None,
        true_mask: np.ndarray | None = None,
    ) -> "VideoPictures":
        """Read a video, and run a pipeline on it if there is one.

        Args:
            folder: the video.
            taxonomy: of its masks.
            pipeline: predicts later frames and a mask.
            true_mask: ``(H, W)`` of the predicted frame, for a video without masks.

        Raises:
            UserError: if a frame or mask is missing, damaged or of another size.
        """
        count = len(frame_indices(folder))
        frames = read_frames(folder, range(max(count, pipeline.num_known if pipeline else 1)))
        masks = read_masks(folder) if (folder / MASK_FILE).exists() else None
        prediction = pipeline(frames[None, : pipeline.num_known])[0] if pipeline else None
        if masks is not None:
            number = len(masks) if prediction is None else prediction.mask_number
            true_mask = masks[number - 1] if number <= len(masks) else None
        if true_mask is not None and true_mask.shape != frames.shape[1:3]:
            raise UserError(
                f"{folder}: frames have the size {frames.shape[1:3]}, the true mask "
                f"{true_mask.shape}; give the masks of these videos."
            )
        return cls(folder.name, frames, taxonomy, masks, true_mask, prediction)

    @property
    def num_known(self) -> int:
        """Number of frames that are shown as input: those of the prediction, or all."""
        return len(self.frames) if self.prediction is None else self.prediction.num_known

    @property
    def mask_number(self) -> int:
        """The frame that the true and the predicted mask are of, counted from 1."""
        if self.prediction is not None:
            return self.prediction.mask_number
        return max(len(self.frames), 0 if self.masks is None else len(self.masks))

    def sheet_row(self) -> tuple[str, list[tuple[str, np.ndarray]]]:
        """Return a row for :func:`~vps_d2.visualization.drawing.contact_sheet`."""
        last, target = self.num_known - 1, self.mask_number
        shown = dict.fromkeys((0, last // 2, last))
        pictures = [(f"frame {i + 1}", self.frames[i]) for i in shown]
        if self.masks is not None and last < len(self.masks):
            pictures.append((f"mask {last + 1}", self._color(self.masks[last])))
        if last + 1 < target <= len(self.frames):
            pictures.append((f"true frame {target}", self.frames[target - 1]))
        if self.prediction is not None:
            frame = self.prediction.frames[self._shown_at(target)]
            pictures.append((self.prediction.captions()[self._shown_at(target)], frame))
            overlay = overlay_mask(frame, self.prediction.mask, self.taxonomy.palette)
            pictures.append(("predicted mask over it", overlay))
            pictures.append((f"predicted mask {target}", self._color(self.prediction.mask)))
        if self.true_mask is not None and (self.prediction is not None or self.masks is None):
            pictures.append((f"true mask {target}", self._color(self.true_mask)))
        return self.name, pictures

    def film(self) -> list[np.ndarray]:
        """Return pictures of one size, one for each frame in time; the last one is repeated."""
        count = len(self.frames)
        if self.prediction is not None:
            count = max(count, self.mask_number, self.prediction.frame_numbers[-1])
        pictures = [self._moment(index) for index in range(count)]
        return pictures + pictures[-1:] * _HOLD

    def _shown_at(self, number: int) -> int:
        """Return the index of the predicted frame to show at a frame: it, or the one before."""
        assert self.prediction is not None
        return max(sum(each <= number for each in self.prediction.frame_numbers) - 1, 0)

    def _color(self, mask: np.ndarray) -> np.ndarray:
        return colorize_mask(mask, self.taxonomy)

    def _moment(self, index: int) -> np.ndarray:
        blank = np.full_like(self.frames[0], _BLANK)
        number, target = index + 1, self.mask_number
        shown = min(index, len(self.frames) - 1)  # the last frame is repeated
        parts = [(f"frame {shown + 1}", self.frames[shown])]
        if self.masks is not None:
            mask = self._color(self.masks[index]) if index < len(self.masks) else blank
            parts.append((f"mask {number}", mask))
        elif self.true_mask is not None:
            at_end = number >= target
            parts.append(
                (
                    f"true mask {target}",
                    self._color(self.true_mask) if at_end else blank,
                )
            )
        if self.prediction is not None:
            text, picture = "predicted", blank
            if number >= max(self.prediction.frame_numbers[0], self.num_known + 1):
                place = self._shown_at(number)
                text, picture = self.prediction.captions()[place], self.prediction.frames[place]
            parts.append((text, picture))
            mask = self._color(self.prediction.mask) if number >= target else blank
            parts.append((f"predicted mask {target}", mask))
        return strip([caption(enlarge(picture), text) for text, picture in parts])
