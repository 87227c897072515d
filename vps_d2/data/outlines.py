"""Outlines of masks, with what ends them: background, another object, or the picture's border.

Nothing here imports PyTorch. Pictures are 240 pixels wide here, whatever their real size; x and y
are pixels from the middle of the picture, to the right and down. Objects in frames are numbered by
cells: object * T + frame. Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns, ``B``
cells, ``P`` points.
"""

from typing import NamedTuple

import numpy as np

WIDTH = 240
"""Of the pictures that outlines are measured in, in pixels."""
NUM_OUTLINE, NUM_CUT = 32, 8
"""Directions around an object in which its outline, and what cuts it off, are averaged."""

_NONE, _STRANGER = -1, -2


class Cracks(NamedTuple):
    """Sides of pixels at which masks end, ``(n,)`` each.

    Attributes:
        cell: whose mask it is.
        x: of the middle of the side.
        y: of the middle of the side.
        out_x: direction out of the mask, -1, 0 or 1 to the right.
        out_y: the same downwards.
        other: cell of the object that begins there or one pixel further; -1 for none, and -2 for
            one that is not measured.
        border: whether the picture ends there.
    """

    cell: np.ndarray
    x: np.ndarray
    y: np.ndarray
    out_x: np.ndarray
    out_y: np.ndarray
    other: np.ndarray
    border: np.ndarray


class Points(NamedTuple):
    """Points of outlines, float32 ``(B, P)``.

    Attributes:
        x: column.
        y: row.
        out_x: mean direction out of the mask; zero if the point is one-sided.
        out_y: the same downwards.
        weights: how many pixels' sides each stands for.
        one_sided: bool ``(P,)``: whether the silhouette may also reach further.
    """

    x: np.ndarray
    y: np.ndarray
    out_x: np.ndarray
    out_y: np.ndarray
    weights: np.ndarray
    one_sided: np.ndarray

    def take(self, chosen: np.ndarray) -> "Points":
        """Return those of some of the cells."""
        x, y, out_x, out_y, weights = (values[chosen] for values in self[:-1])
        return Points(x, y, out_x, out_y, weights, self.one_sided)

    def pushed(self, distance: float) -> np.ndarray:
        """Return ``(B, P, 3)``: x, y and 1, moved out of the mask by a distance."""
        x, y = self.x + distance * self.out_x, self.y + distance * self.out_y
        return np.stack([x, y, np.ones_like(x)], axis=2)


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
    places, steps = [], ((1, 1, 0), (width + 4, 0, 1))
    for step, _, _ in steps:
        before = np.flatnonzero(flat[:-step] != flat[step:])
        for place in (before, before + step):
            places.append(place[wanted[flat[place]]])
    counts = [len(place) for place in places]
    onward, out_x, out_y = (
        np.repeat([sign * value for value in column for sign in (1, -1)], counts)
        for column in zip(*steps, strict=True)
    )
    place = np.concatenate(places)
    own, other, beyond = flat[place], flat[place + onward], flat[place + 2 * onward]
    other = np.where((other == 0) & (beyond != own), beyond, other)
    frame, rest = np.divmod(place, (height + 4) * (width + 4))
    row, column = np.divmod(rest, width + 4)
    row, column = row - 2 + out_y, column - 2 + out_x
    slots = np.full(256, _STRANGER)
    slots[0] = _NONE
    slots[class_ids] = np.arange(len(class_ids))
    slot, scale = slots[other], WIDTH / width
    return Cracks(
        slots[own] * num_frames + frame,
        (column - out_x / 2 + 0.5 - width / 2) * scale,
        (row - out_y / 2 + 0.5 - height / 2) * scale,
        out_x,
        out_y,
        np.where(slot >= 0, slot * num_frames + frame, slot),
        (row < 0) | (row >= height) | (column < 0) | (column >= width),
    )


def find_middles(cracks: Cracks, num_cells: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of each cell's mask, ``(num_cells,)``, and its centroid, ``(2, num_cells)``.

    By Gauss's theorem they follow from the outline alone.
    """
    cell, x, y, out_x, out_y, *_ = cracks
    area = np.bincount(cell, x * out_x, num_cells) * scale
    middle = np.stack(
        [np.bincount(cell, v * v * out, num_cells) for v, out in ((x, out_x), (y, out_y))]
    )
    return area, middle * scale / (2 * np.maximum(area, 1e-6))


def gather_points(cracks: Cracks, middles: np.ndarray, scale: float) -> Points:
    """Return the outlines of all cells.

    A crack is outline where background begins, or another object that is farther away. At the
    picture's border, and where a nearer object begins, the silhouette may reach further. The nearer
    one of two objects on the floor is the one whose mask reaches further down.

    Args:
        cracks: where masks end.
        middles: around which directions are counted, ``(2, B)``.
        scale: length of a crack.
    """
    cell, x, y, out_x, out_y, other, border = cracks
    num_cells, size = middles.shape[1], NUM_OUTLINE + NUM_CUT
    bottoms = np.full(num_cells + 2, -np.inf)
    np.maximum.at(bottoms, cell, y)
    bottoms[_STRANGER] = np.inf
    cut = border | (bottoms[other] > bottoms[cell])
    turn = np.arctan2(y - middles[1, cell], x - middles[0, cell]) / (2 * np.pi) + 0.5
    part = (turn * np.where(cut, NUM_CUT, NUM_OUTLINE)).astype(np.int64)
    part = np.minimum(part, np.where(cut, NUM_CUT, NUM_OUTLINE) - 1) + cut * NUM_OUTLINE
    part += cell * size
    counts = np.bincount(part, minlength=num_cells * size).astype(np.float32)
    share = 1 / np.maximum(counts, 1)
    x, y, out_x, out_y = (
        (np.bincount(part, values, num_cells * size) * share)
        .astype(np.float32)
        .reshape(num_cells, size)
        for values in (x, y, out_x, out_y)
    )
    one_sided = np.arange(size) >= NUM_OUTLINE
    known = ~one_sided
    return Points(
        x, y, out_x * known, out_y * known, counts.reshape(num_cells, size) * scale, one_sided
    )
