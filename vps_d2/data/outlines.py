"""Outlines of masks, with what ends them: background, another object, or the picture's border.

Nothing here imports PyTorch. Points are columns and rows of pictures 240 pixels wide; the center of
the first pixel is (0.5, 0.5). Objects in frames are numbered by cells: object * T + frame.
"""

from typing import NamedTuple

import numpy as np

WIDTH = 240
"""Of the pictures that outlines are measured in, in pixels, whatever their real size."""
NUM_OUTLINE, NUM_CUT = 32, 8
"""Directions around an object in which its outline, and what cuts it off, are averaged."""

_NONE, _STRANGER = -1, -2


class Cracks(NamedTuple):
    """Sides of pixels at which masks end, ``(n,)`` each.

    Attributes:
        cell: whose mask it is.
        x: column of the middle of the side.
        y: row of the middle of the side.
        dx: direction out of the mask: -1, 0 or 1 to the right.
        dy: the same downwards.
        other: cell of the object that begins there or one pixel further; -1 for none, and -2 for
            one that is not measured.
    """

    cell: np.ndarray
    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    other: np.ndarray


class Points(NamedTuple):
    """What is known of silhouettes' outlines.

    Attributes:
        places: float64 ``(B, P, 2)``.
        weights: how many pixels' sides each stands for, ``(B, P)``.
        one_sided: bool ``(P,)``, whether the silhouette may also reach further.
    """

    places: np.ndarray
    weights: np.ndarray
    one_sided: np.ndarray

    def take(self, chosen: np.ndarray) -> "Points":
        """Return those of some of the objects."""
        return Points(self.places[chosen], self.weights[chosen], self.one_sided)


def find_cracks(masks: np.ndarray, class_ids: np.ndarray) -> Cracks:
    """Return where the masks of objects end.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        class_ids: of the objects to measure, ``(K,)``.
    """
    num_frames, height, width = masks.shape
    padded = np.zeros((num_frames, height + 4, width + 4), np.uint8)
    padded[:, 2:-2, 2:-2] = masks
    flat = padded.reshape(-1)
    wanted = np.zeros(256, np.bool_)
    wanted[class_ids] = True
    index = np.flatnonzero(flat)
    index = index[wanted[flat[index]]]
    label = flat[index]
    found = []
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        step = dy * (width + 4) + dx
        beyond = flat[index + step]
        ends = np.flatnonzero(beyond != label)
        place, own, first = index[ends], label[ends], beyond[ends]
        second = flat[place + 2 * step]
        other = np.where((first == 0) & (second != own), second, first)
        found.append((place, own, other, np.full(len(ends), dx), np.full(len(ends), dy)))
    place, own, other, dx, dy = map(np.concatenate, zip(*found, strict=True))
    frame, rest = np.divmod(place, (height + 4) * (width + 4))
    row, column = np.divmod(rest, width + 4)
    slots = np.full(256, _STRANGER)
    slots[0] = _NONE
    slots[class_ids] = np.arange(len(class_ids))
    slot = slots[other]
    scale = WIDTH / width
    return Cracks(
        slots[own] * num_frames + frame,
        (column - 1.5 + dx / 2) * scale,
        (row - 1.5 + dy / 2) * scale,
        dx * scale,
        dy * scale,
        np.where(slot >= 0, slot * num_frames + frame, slot),
    )


def areas_and_middles(cracks: Cracks, num_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of each cell's mask and its centroid, ``(num_cells,)`` and ``(..., 2)``.

    By Gauss's theorem they follow from the outline alone.
    """
    cell, x, y, dx, dy, _ = cracks
    area = np.bincount(cell, x * dx, num_cells)
    middle = np.stack(
        [np.bincount(cell, x * x * dx, num_cells), np.bincount(cell, y * y * dy, num_cells)], 1
    )
    return area, middle / (2 * np.maximum(area, 1e-6))[:, None]


def gather_points(cracks: Cracks, middles: np.ndarray, height: float) -> Points:
    """Return the outlines of all cells.

    A crack is outline where background begins, or another object that is farther away; it is not
    at the picture's border and where a nearer object begins, whose mask reaches further down.

    Args:
        cracks: where masks end.
        middles: around which directions are counted.
        height: of the pictures, in pixels.
    """
    cell, x, y, dx, dy, other = cracks
    num_cells = len(middles)
    bottoms = np.zeros(num_cells + 2)
    bottoms[[_NONE, _STRANGER]] = -np.inf, np.inf
    np.maximum.at(bottoms, cell, y)
    border = (x == 0) | (x == WIDTH) | (y == 0) | (y == height)
    cut = border | (bottoms[other] > bottoms[cell])
    angle = np.arctan2(y - middles[cell, 1], x - middles[cell, 0]) / (2 * np.pi) + 0.5
    outline = np.minimum((angle * NUM_OUTLINE).astype(np.int64), NUM_OUTLINE - 1)
    edge = np.minimum((angle * NUM_CUT).astype(np.int64), NUM_CUT - 1)
    size = NUM_OUTLINE + NUM_CUT
    part = cell * size + np.where(cut, NUM_OUTLINE + edge, outline)
    count = np.bincount(part, minlength=num_cells * size)
    places = [
        (np.bincount(part, value, num_cells * size) / np.maximum(count, 1)).reshape(-1, size)
        for value in (x, y)
    ]
    weights = (np.abs(dx) + np.abs(dy))[0] * count if len(x) else count
    return Points(
        np.stack(places, -1),
        weights.reshape(-1, size),
        np.arange(size) >= NUM_OUTLINE,
    )
