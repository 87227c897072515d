"""Pictures of a whole video: what went in, what was predicted, and what is true.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB, masks uint8 class numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vps_d2.data.video import (
    MASK_FILE,
    NUM_FRAMES,
    NUM_INPUT_FRAMES,
    frame_indices,
    read_frames,
    read_masks,
)
from vps_d2.io.errors import UserError
from vps_d2.visualization.drawing import caption, colorize_mask, enlarge, overlay_mask, strip

_BLANK = 230
_HOLD = 5  # pictures that the last one stays for


class Prediction(Protocol):
    """What a pipeline says of a video, as pictures show it."""

    @property
    def frames(self) -> np.ndarray:
        """Predicted frames, ``(T, H, W, 3)``."""

    @property
    def mask(self) -> np.ndarray:
        """The predicted mask, ``(H, W)``."""

    @property
    def frame_numbers(self) -> range:
        """Which frames of the video ``frames`` are, counted from 1."""

    def captions(self) -> list[str]:
        """Return what to write above each of the frames."""


@dataclass
class VideoPictures:
    """Everything there is to show of a video.

    Args:
        name: of the video.
        frames: ``(T, H, W, 3)``, 11 or more.
        masks: ``(22, H, W)``, if it is labeled.
        true_mask: ``(H, W)``, of frame 22, if it is known.
        prediction: of the pipeline, if there is one.
    """

    name: str
    frames: np.ndarray
    masks: np.ndarray | None = None
    true_mask: np.ndarray | None = None
    prediction: Prediction | None = None

    @classmethod
    def read(
        cls,
        folder: Path,
        pipeline: Callable[[np.ndarray], Sequence[Prediction]] | None = None,
        true_mask: np.ndarray | None = None,
    ) -> "VideoPictures":
        """Read a video, and predict it if there is a pipeline.

        Args:
            folder: the video.
            pipeline: to predict with.
            true_mask: ``(H, W)`` of frame 22, for a video without masks.

        Raises:
            UserError: if a frame or mask is missing, spoiled or of another size.
        """
        count = max(NUM_INPUT_FRAMES, min(len(frame_indices(folder)), NUM_FRAMES))
        frames = read_frames(folder, range(count))
        masks = read_masks(folder) if (folder / MASK_FILE).exists() else None
        if masks is not None:
            true_mask = masks[-1]
        if true_mask is not None and true_mask.shape != frames.shape[1:3]:
            raise UserError(
                f"{folder}: frames of {frames.shape[1:3]}, true mask of {true_mask.shape}; "
                "give the masks of these videos."
            )
        prediction = pipeline(frames[None, :NUM_INPUT_FRAMES])[0] if pipeline else None
        return cls(folder.name, frames, masks, true_mask, prediction)

    def sheet_row(self) -> tuple[str, list[tuple[str, np.ndarray]]]:
        """Return a row for :func:`~vps_d2.visualization.drawing.contact_sheet`."""
        middle, last = NUM_INPUT_FRAMES // 2, NUM_INPUT_FRAMES - 1
        pictures = [(f"frame {i + 1}", self.frames[i]) for i in (0, middle, last)]
        if self.masks is not None:
            pictures.append((f"mask {last + 1}", colorize_mask(self.masks[last])))
        if len(self.frames) == NUM_FRAMES:
            pictures.append((f"true frame {NUM_FRAMES}", self.frames[-1]))
        if self.prediction is not None:
            frame = self.prediction.frames[-1]
            pictures.append((self.prediction.captions()[-1], frame))
            overlay = overlay_mask(frame, self.prediction.mask)
            pictures.append(("predicted mask over it", overlay))
            pictures.append(("predicted mask 22", colorize_mask(self.prediction.mask)))
        if self.true_mask is not None:
            pictures.append(("true mask 22", colorize_mask(self.true_mask)))
        return self.name, pictures

    def film(self) -> list[np.ndarray]:
        """Return pictures of one size, one for each frame in time, the last one held."""
        count = NUM_FRAMES if self.prediction is not None else len(self.frames)
        pictures = [self._moment(index) for index in range(count)]
        return pictures + pictures[-1:] * _HOLD

    def _moment(self, index: int) -> np.ndarray:
        blank = np.full_like(self.frames[0], _BLANK)
        known = index < len(self.frames)
        parts = [(f"frame {index + 1}" if known else "", self.frames[index] if known else blank)]
        if self.masks is not None:
            parts.append((f"mask {index + 1}", colorize_mask(self.masks[index])))
        elif self.true_mask is not None:
            at_end = index == NUM_FRAMES - 1
            parts.append(("true mask 22", colorize_mask(self.true_mask) if at_end else blank))
        if self.prediction is not None:
            text, picture = "predicted", blank
            past = sum(number <= index + 1 for number in self.prediction.frame_numbers)
            if index >= NUM_INPUT_FRAMES and past:
                text = self.prediction.captions()[past - 1]
                picture = self.prediction.frames[past - 1]
            parts.append((text, picture))
            at_end = index == NUM_FRAMES - 1
            mask = colorize_mask(self.prediction.mask) if at_end else blank
            parts.append(("predicted mask 22", mask))
        return strip([caption(enlarge(picture), text) for text, picture in parts])
