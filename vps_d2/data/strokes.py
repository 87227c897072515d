"""Strokes of a pen over a frame: clicks, scribbles, and the brush and eraser.

Coordinates are pixels of the frame, from the upper left corner of its first pixel, whose center is
at (0.5, 0.5). ``H`` rows, ``W`` columns.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from vps_d2.io.errors import UserError

__all__ = ["CLICK_RADIUS", "TOOLS", "Stroke", "draw_strokes"]

TOOLS = ("click", "scribble", "paint")
"""A click and a scribble hint at the object, and the rest of it is found; what is painted is taken
as it is, by a brush if positive and by an eraser if not."""

CLICK_RADIUS = 5.0
"""Of the disc that a click is drawn as."""

_MAX_POINTS = 10_000
_MAX_COORDINATE = 1e5
_MAX_RADIUS = 1e4
_SHIFT = 4  # bits of a pixel's fraction, for OpenCV


@dataclass(frozen=True)
class Stroke:
    """What was drawn without lifting the pen.

    Args:
        points: (x, y), at least one.
        positive: it says where the object is; if not, where it is not.
        radius: of the pen.
        tool: see :data:`TOOLS`.
    """

    points: tuple[tuple[float, float], ...]
    positive: bool = True
    radius: float = CLICK_RADIUS
    tool: str = "scribble"

    def to_json(self) -> dict[str, Any]:
        """Return the stroke as a value of JSON."""
        return {**asdict(self), "points": [list(point) for point in self.points]}

    @classmethod
    def from_json(cls, value: Any) -> "Stroke":
        """Return the stroke that :meth:`to_json` turned into a value of JSON.

        Raises:
            UserError: if the value is no stroke, or one with too many points.
        """
        if not isinstance(value, dict):
            raise UserError('a stroke is no object of JSON; give one with "points".')
        points, radius = value.get("points"), value.get("radius", CLICK_RADIUS)
        positive, tool = value.get("positive", True), value.get("tool", "scribble")
        if not isinstance(points, list) or not 0 < len(points) <= _MAX_POINTS:
            raise UserError(f"a stroke has 1 to {_MAX_POINTS:,} points; draw it in parts.")
        if not all(isinstance(each, list) and len(each) == 2 for each in points) or not all(
            _is_number(number, _MAX_COORDINATE) for each in points for number in each
        ):
            raise UserError("a point of a stroke is not a pair of numbers in the frame.")
        if not _is_number(radius, _MAX_RADIUS) or radius <= 0:
            raise UserError("the radius of a stroke is not a positive number of pixels.")
        if not isinstance(positive, bool) or tool not in TOOLS:
            raise UserError(
                f"a stroke is positive or not, and its tool is one of {', '.join(TOOLS)}."
            )
        return cls(tuple((float(x), float(y)) for x, y in points), positive, float(radius), tool)


def draw_strokes(strokes: Sequence[Stroke], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw strokes, later ones over earlier ones.

    Args:
        strokes: of any tool.
        size: height and width of the frame.

    Returns:
        the pixels that are said to be of the object, and those that are said not to be, bool
        ``(H, W)`` each.
    """
    canvas = np.zeros(size, np.uint8)
    for stroke in strokes:
        _draw(canvas, stroke, 1 if stroke.positive else 2)
    return canvas == 1, canvas == 2


def _draw(canvas: np.ndarray, stroke: Stroke, value: int) -> None:
    """Draw a line with round ends, and at least the pixels in which it begins and ends."""
    scale = 1 << _SHIFT
    points = np.round((np.array(stroke.points) - 0.5) * scale).astype(np.int32)
    radius = max(round((stroke.radius - 0.5) * scale), 0)
    for place in (0, -1):
        x, y = points[place].tolist()
        cv2.circle(canvas, (x, y), radius, value, cv2.FILLED, cv2.LINE_8, _SHIFT)
        column, row = map(math.floor, stroke.points[place])
        if 0 <= row < canvas.shape[0] and 0 <= column < canvas.shape[1]:
            canvas[row, column] = value
    if len(points) > 1:
        width = max(round(2 * stroke.radius), 1)
        cv2.polylines(canvas, [points], False, value, width, cv2.LINE_8, _SHIFT)


def _is_number(value: Any, limit: float) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= limit
        and math.isfinite(value)
    )
