"""Pictures of frames and masks.

Shapes: ``H`` rows, ``W`` columns, ``T`` frames. Pictures are uint8 RGB ``(H, W, 3)``; masks are
uint8 class maps ``(H, W)``.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vps_d2.data.taxonomy import Taxonomy

_BAR = 18  # height of a caption in pixels
_GAP = 4  # between pictures in pixels
_PAPER = 255
_MIN_NAMED_ROWS = 200  # in smaller frames, class names would hide too much

Label = tuple[str, tuple[int, int], tuple[int, int, int]]
"""Text, place ``(x, y)`` of the left end above which it stands, and RGB."""


def colorize_mask(mask: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Return a picture ``(H, W, 3)`` of a class map, with each class in its color on black."""
    return taxonomy.palette[mask]


def overlay_mask(
    frame: np.ndarray, mask: np.ndarray, palette: np.ndarray, opacity: float = 0.45
) -> np.ndarray:
    """Draw a mask over a frame, with classes or objects tinted and outlined.

    Args:
        frame: uint8 ``(H, W, 3)``.
        mask: class or object map of the same size.
        palette: RGB of each of its values, uint8 ``(256, 3)``, such as ``Taxonomy.palette``.
        opacity: of the tint, 0-1.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    picture = frame.copy()
    x, y, width, height = cv2.boundingRect(mask)
    # One pixel more, for the outline of what ends at the edge of the box.
    area = (slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1))
    inside = mask[area] > 0
    colors = palette[mask[area][inside]]
    tinted = picture[area][inside] * (1 - opacity) + colors * opacity
    kernel = np.ones((3, 3), np.uint8)
    # Outlines: pixels of an object that touch another class or the background.
    part = mask[area]
    outline = (cv2.erode(part, kernel) != part) | (cv2.dilate(part, kernel) != part)
    picture[area][inside] = np.where(outline[inside, None], colors, np.rint(tinted))
    return picture


def format_label(number: int, name: str, height: int) -> str:
    """Return the text that labels an object in a frame.

    Args:
        number: of the object.
        name: of its class, which is left out in small frames.
        height: of the frame in pixels.
    """
    return f"{number} {name}" if height >= _MIN_NAMED_ROWS else str(number)


def label_objects(picture: np.ndarray, labels: Sequence[Label]) -> None:
    """Write short labels on a picture, in place, each on a plate of its object's color.

    Args:
        picture: uint8 ``(H, W, 3)``.
        labels: of the objects.
    """
    height, width = picture.shape[:2]
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.3, 0.4 * min(height, width) / 480)
    for text, (x, y), color in labels:
        (wide, high), base = cv2.getTextSize(text, font, scale, 1)
        left = int(np.clip(x, 0, max(width - wide - 2, 0)))
        bottom = int(np.clip(y, high + base + 2, height - 1))
        plate = (left, bottom - high - base - 2), (left + wide + 2, bottom)
        cv2.rectangle(picture, *plate, color, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(color, (0.299, 0.587, 0.114)) > 128 else (255, 255, 255)
        cv2.putText(picture, text, (left + 1, bottom - base), font, scale, ink, 1, cv2.LINE_AA)


def enlarge(picture: np.ndarray, min_height: int = 160) -> np.ndarray:
    """Repeat the pixels of a picture a whole number of times, up to at least a given height."""
    times = -(-min_height // picture.shape[0])
    return picture.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else picture


def caption(picture: np.ndarray, text: str) -> np.ndarray:
    """Write a line of text above a picture, in smaller letters if it would not fit.

    Returns:
        uint8 ``(H + 18, W, 3)``.
    """
    bar = np.full((_BAR, picture.shape[1], 3), _PAPER, np.uint8)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.42
    width = cv2.getTextSize(text, font, scale, 1)[0][0]
    scale *= min(1.0, (bar.shape[1] - 4) / max(width, 1))
    cv2.putText(bar, text, (2, _BAR - 5), font, scale, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures side by side, on white paper as high as the highest one."""
    height = max(picture.shape[0] for picture in pictures)
    parts: list[np.ndarray] = []
    for picture in pictures:
        if parts:
            parts.append(np.full((height, _GAP, 3), _PAPER, np.uint8))
        below = ((0, height - picture.shape[0]), (0, 0), (0, 0))
        parts.append(np.pad(picture, below, constant_values=_PAPER))
    return np.concatenate(parts, axis=1)


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> np.ndarray:
    """Put rows of captioned pictures on one sheet.

    Args:
        rows: a label, and pictures with their captions; small pictures are enlarged.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    drawn = []
    for label, pictures in rows:
        row = strip([caption(enlarge(picture), text) for text, picture in pictures])
        drawn.append(caption(row, label))
    width = max(row.shape[1] for row in drawn)
    padded = []
    for row in drawn:
        right = ((0, _GAP), (0, width - row.shape[1]), (0, 0))
        padded.append(np.pad(row, right, constant_values=_PAPER))
    return np.concatenate(padded)
