"""Pictures of predictions, drawn with OpenCV.

Shapes: H rows, W columns, N objects. Pictures are uint8 RGB (H, W, 3).
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import cv2
import numpy as np

from vps_d2.d2.embedded.structures import Instances

__all__ = ["ColorMode", "Visualizer"]

Color = tuple[float, float, float]
"""R, G, B in 0-1."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BOX_ALPHA = 0.5


class ColorMode(Enum):
    """How objects are distinguished."""

    IMAGE = 0
    """Every object in a different color."""
    SEGMENTATION = 1
    """Objects in the color of their class, and more opaque."""


_ALPHA = {ColorMode.IMAGE: 0.5, ColorMode.SEGMENTATION: 0.8}


class VisImage:
    """A picture that is drawn on.

    Args:
        img: the picture; it is copied.
        scale: size of the result relative to it.
    """

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        size = (max(1, round(img.shape[1] * scale)), max(1, round(img.shape[0] * scale)))
        self.scale = scale
        self.canvas = cv2.resize(img, size, interpolation=cv2.INTER_LINEAR).copy()

    def get_image(self) -> np.ndarray:
        """Return the picture as it is now, uint8 (H, W, 3)."""
        return self.canvas.copy()


class Visualizer:
    """Draws objects over a picture.

    Args:
        img_rgb: uint8 (H, W, 3).
        metadata: of the data set; ``thing_classes`` and ``thing_colors`` are used if present.
        scale: size of the result relative to the picture.
        instance_mode: how objects are distinguished.
    """

    def __init__(
        self,
        img_rgb: np.ndarray,
        metadata: Any = None,
        scale: float = 1.0,
        instance_mode: ColorMode = ColorMode.IMAGE,
    ) -> None:
        self.img = np.asarray(img_rgb).clip(0, 255).astype(np.uint8)
        self.metadata = metadata
        self.output = VisImage(self.img, scale)
        self._mode = instance_mode

    def draw_instance_predictions(self, predictions: Instances) -> VisImage:
        """Draw detections with those of the fields pred_boxes, scores, pred_classes, pred_masks.

        Large ones are drawn first; names and scores are on top of everything.

        Returns:
            the picture, which is also kept in ``output``.
        """
        masks = np.asarray(predictions.pred_masks.cpu()) if predictions.has("pred_masks") else None
        frames = None
        if predictions.has("pred_boxes"):
            frames = predictions.pred_boxes.tensor.cpu().numpy().astype(float)
        places = frames
        if places is None and masks is not None:
            places = np.array([_box_of(mask) for mask in masks], dtype=float).reshape(-1, 4)
        if places is None:
            return self.output
        labels, colors = self._labels(predictions), self._colors(predictions)
        areas = (places[:, 2] - places[:, 0]) * (places[:, 3] - places[:, 1])
        order = np.argsort(-areas, kind="stable")
        for index in order:
            if masks is not None:
                self._tint(masks[index], colors[index], _ALPHA[self._mode])
            if frames is not None:
                self._frame(frames[index], colors[index], _BOX_ALPHA if masks is not None else 1)
        for index in order:
            left, top = places[index, :2]
            self._write(labels[index], left, top)
        return self.output

    def _meta(self, name: str) -> Any:
        return None if self.metadata is None else self.metadata.get(name, None)

    def _labels(self, predictions: Instances) -> list[str]:
        names = self._meta("thing_classes")
        texts = [""] * len(predictions)
        if predictions.has("pred_classes"):
            numbers = predictions.pred_classes.tolist()
            texts = [str(number) if names is None else names[number] for number in numbers]
        if predictions.has("scores"):
            percent = [f"{100 * score:.0f}%" for score in predictions.scores.tolist()]
            texts = [f"{text} {score}" for text, score in zip(texts, percent, strict=True)]
        return texts

    def _colors(self, predictions: Instances) -> list[Color]:
        if self._mode is ColorMode.IMAGE or not predictions.has("pred_classes"):
            return [_distinct_color(index) for index in range(len(predictions))]
        numbers, known = predictions.pred_classes.tolist(), self._meta("thing_colors")
        if known is None:
            return [_distinct_color(number) for number in numbers]
        return [_to_unit(known[number]) for number in numbers]

    def _tint(self, mask: np.ndarray, color: Color, alpha: float) -> None:
        """Tint a mask (H, W) with a color, and draw its outline."""
        canvas = self.output.canvas
        size = (canvas.shape[1], canvas.shape[0])
        inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        rgb = 255 * np.array(color)
        chosen = inside > 0
        canvas[chosen] = np.rint(canvas[chosen] * (1 - alpha) + rgb * alpha).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, rgb.tolist(), 1)

    def _frame(self, box: np.ndarray, color: Color, alpha: float) -> None:
        """Draw the outline of a box, as opaque as ``alpha``."""
        canvas = self.output.canvas
        left, top, right, bottom = np.rint(box * self.output.scale).astype(int).tolist()
        rgb = (255 * np.array(color)).tolist()
        framed = cv2.rectangle(canvas.copy(), (left, top), (right, bottom), rgb, 1)
        cv2.addWeighted(framed, alpha, canvas, 1 - alpha, 0, dst=canvas)

    def _write(self, text: str, x: float, y: float) -> None:
        """Write to the upper right of a point of the picture, but always inside."""
        if not text:
            return
        canvas, scale = self.output.canvas, self.output.scale
        size = max(0.3, canvas.shape[0] / 1000)
        (width, height), below = cv2.getTextSize(text, _FONT, size, 1)
        left = int(np.clip(x * scale, 0, max(canvas.shape[1] - width, 0)))
        bottom = int(np.clip(y * scale, height + 1, max(canvas.shape[0] - below, height + 1)))
        paper = canvas[bottom - height - 1 : bottom + below, left : left + width]
        paper //= 3  # darkened, so that white letters can be read
        cv2.putText(canvas, text, (left, bottom), _FONT, size, (255, 255, 255), 1, cv2.LINE_AA)


def _box_of(bitmap: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(bitmap)
    if not len(rows):
        return 0, 0, 0, 0
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def _to_unit(color: Sequence[float]) -> Color:
    red, green, blue = (value / 255 for value in color)
    return red, green, blue


def _distinct_color(index: int) -> Color:
    """Return a bright color; steps by the golden ratio keep neighbors apart."""
    hue = int(180 * ((index * 0.618034) % 1))
    red, green, blue = (
        cv2.cvtColor(np.array([[[hue, 190, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0] / 255
    )
    return float(red), float(green), float(blue)
