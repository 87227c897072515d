"""Pictures of predictions and annotations, drawn with OpenCV.

Shapes: H rows, W columns, N objects. Pictures are uint8 RGB (H, W, 3).
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vps_d2.d2.embedded.data.detection_utils import to_bitmap
from vps_d2.d2.embedded.structures import BoxMode, Instances

__all__ = ["ColorMode", "VisImage", "Visualizer"]

Color = tuple[float, float, float]
"""R, G, B in 0-1."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BOX_ALPHA = 0.5


class ColorMode(Enum):
    """How objects are told apart."""

    IMAGE = 0
    """Every object in a color of its own."""
    SEGMENTATION = 1
    """Objects of a class in the class's color, more opaque."""
    IMAGE_BW = 2
    """As IMAGE, with everything but the objects in gray, and paler."""


_ALPHA = {ColorMode.IMAGE: 0.5, ColorMode.SEGMENTATION: 0.8, ColorMode.IMAGE_BW: 0.3}


class VisImage:
    """A picture that is drawn on.

    Args:
        img: the picture; it is copied.
        scale: of the result against it.
    """

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        size = (max(1, round(img.shape[1] * scale)), max(1, round(img.shape[0] * scale)))
        self.scale = scale
        self.canvas = cv2.resize(img, size, interpolation=cv2.INTER_LINEAR).copy()

    def get_image(self) -> np.ndarray:
        """Return the picture as it is now, uint8 (H, W, 3)."""
        return self.canvas.copy()

    def save(self, filepath: str) -> None:
        """Write the picture to a file, in the format of its suffix."""
        suffix = Path(filepath).suffix or ".png"
        _, data = cv2.imencode(suffix, cv2.cvtColor(self.canvas, cv2.COLOR_RGB2BGR))
        data.tofile(filepath)


class Visualizer:
    """Draws objects and classes over a picture.

    Args:
        img_rgb: uint8 (H, W, 3).
        metadata: of the data set: ``thing_classes``, ``thing_colors``, ``stuff_classes`` and
            ``stuff_colors`` are used where there are any.
        scale: of the result against the picture.
        instance_mode: how objects are told apart.
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

    def get_output(self) -> VisImage:
        """Return what was drawn."""
        return self.output

    def draw_instance_predictions(self, predictions: Instances) -> VisImage:
        """Draw detections with those of the fields pred_boxes, scores, pred_classes, pred_masks."""
        fields = {
            name: predictions.get(name) if predictions.has(name) else None
            for name in ("pred_boxes", "scores", "pred_classes", "pred_masks")
        }
        classes = None if fields["pred_classes"] is None else fields["pred_classes"].tolist()
        scores = None if fields["scores"] is None else fields["scores"].tolist()
        masks = None if fields["pred_masks"] is None else np.asarray(fields["pred_masks"].cpu())
        boxes = None if fields["pred_boxes"] is None else fields["pred_boxes"].tensor.cpu().numpy()
        if self._mode is ColorMode.IMAGE_BW:
            self._gray_out(masks)
        opaque = self._mode is ColorMode.SEGMENTATION
        return self.overlay_instances(
            boxes=boxes,
            labels=self._labels(classes, scores, len(predictions)),
            masks=masks,
            assigned_colors=self._class_colors(classes) if opaque and classes else None,
            alpha=_ALPHA[self._mode],
        )

    def draw_dataset_dict(self, dic: dict[str, Any]) -> VisImage:
        """Draw the ``annotations`` and the mask ``sem_seg`` of a record in Detectron2's format.

        A ``sem_seg_file_name`` is not read: give its content as ``sem_seg``.
        """
        objects = dic.get("annotations", [])
        boxes = [BoxMode.convert(o["bbox"], o["bbox_mode"], BoxMode.XYXY_ABS) for o in objects]
        masks = [o["segmentation"] for o in objects if "segmentation" in o]
        classes = [o["category_id"] for o in objects]
        opaque = self._mode is ColorMode.SEGMENTATION
        self.overlay_instances(
            boxes=np.array(boxes, dtype=float).reshape(-1, 4),
            labels=self._labels(classes, None, len(objects)),
            masks=masks if len(masks) == len(objects) else None,
            assigned_colors=self._class_colors(classes) if opaque else None,
        )
        if dic.get("sem_seg") is not None:
            self.draw_sem_seg(dic["sem_seg"], area_threshold=0, alpha=0.5)
        return self.output

    def draw_sem_seg(
        self,
        sem_seg: torch.Tensor | np.ndarray,
        area_threshold: int | None = None,
        alpha: float = 0.8,
    ) -> VisImage:
        """Draw a mask of class numbers (H, W).

        Args:
            sem_seg: class numbers; those without a name in ``stuff_classes`` are left out.
            area_threshold: pixels below which a class is not named.
            alpha: opacity.
        """
        sem_seg = np.asarray(sem_seg)
        names = self._meta("stuff_classes")
        for label in np.unique(sem_seg):
            if names is None or label < len(names):
                mask = sem_seg == label
                self._tint(mask, self._stuff_color(int(label)), alpha)
                if names is not None and mask.sum() >= (area_threshold or 0):
                    rows, columns = np.nonzero(mask)
                    row = rows[len(rows) // 2]
                    column = np.median(columns[rows == row])
                    self._write(names[label], float(column), float(row), centered=True)
        return self.output

    def overlay_instances(
        self,
        *,
        boxes: Any = None,
        labels: Sequence[str] | None = None,
        masks: Any = None,
        assigned_colors: Sequence[Color] | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Draw N objects, large ones first.

        Args:
            boxes: (N, 4), left, top, right, bottom in pixels; ``Boxes`` or an array.
            labels: text for each object.
            masks: (N, H, W), ``BitMasks`` or an array; or N run-length encodings or polygons.
            assigned_colors: for each object; by default all differ.
            alpha: opacity of the masks.
        """
        boxes = None if boxes is None else np.asarray(getattr(boxes, "tensor", boxes), dtype=float)
        masks = getattr(masks, "tensor", masks)
        masks = masks.cpu().numpy() if isinstance(masks, torch.Tensor) else masks
        size = self.img.shape[:2]
        bitmaps = None if masks is None else [to_bitmap(mask, size) for mask in masks]
        counts = [len(given) for given in (boxes, bitmaps, labels) if given is not None]
        count = counts[0] if counts else 0
        assert all(other == count for other in counts), f"objects in lists of lengths {counts}"
        framed = boxes is not None
        if boxes is None and bitmaps is not None:
            boxes = np.array([_box_of(bitmap) for bitmap in bitmaps], dtype=float).reshape(-1, 4)
        if boxes is None:
            return self.output
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        order = np.argsort(-areas, kind="stable")
        colors = assigned_colors or [_distinct_color(index) for index in range(count)]
        for index in order:
            if bitmaps is not None:
                self._tint(bitmaps[index], colors[index], alpha)
            if framed:
                self._frame(boxes[index], colors[index], _BOX_ALPHA if bitmaps is not None else 1)
        for index in order:  # on top of everything
            if labels is not None:
                left, top = boxes[index, :2]
                self._write(labels[index], left, top)
        return self.output

    def _meta(self, name: str) -> Any:
        return None if self.metadata is None else self.metadata.get(name, None)

    def _labels(
        self, classes: list[int] | None, scores: list[float] | None, count: int
    ) -> list[str]:
        names = self._meta("thing_classes")
        texts = [""] * count
        if classes is not None:
            texts = [str(number) if names is None else names[number] for number in classes]
        if scores is not None:
            texts = [
                f"{text} {100 * score:.0f}%" for text, score in zip(texts, scores, strict=True)
            ]
        return texts

    def _class_colors(self, classes: Sequence[int]) -> list[Color]:
        known = self._meta("thing_colors")
        if known is None:
            return [_distinct_color(number) for number in classes]
        return [_to_unit(known[number]) for number in classes]

    def _stuff_color(self, label: int) -> Color:
        known = self._meta("stuff_colors")
        return _distinct_color(label) if known is None else _to_unit(known[label])

    def _gray_out(self, masks: np.ndarray | None) -> None:
        gray = cv2.cvtColor(cv2.cvtColor(self.img, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if masks is not None and len(masks):
            inside = masks.astype(bool).any(axis=0)
            gray[inside] = self.img[inside]
        self.output = VisImage(gray, self.output.scale)

    def _tint(self, mask: np.ndarray, color: Color, alpha: float) -> None:
        """Lay a color over a mask (H, W), and draw its outline."""
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

    def _write(self, text: str, x: float, y: float, centered: bool = False) -> None:
        """Write at a place of the picture, to its upper right or around it, but always inside."""
        if not text:
            return
        canvas, scale = self.output.canvas, self.output.scale
        size = max(0.3, canvas.shape[0] / 1000)
        (width, height), below = cv2.getTextSize(text, _FONT, size, 1)
        if centered:
            x, y = x - width / scale / 2, y + height / scale / 2
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
