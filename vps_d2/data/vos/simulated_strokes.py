"""Strokes that a person could have drawn, made from the true mask of an object.

First come strokes for an object of which nothing is known yet, then strokes on the errors of a
mask. All masks and maps of strokes are bool ``(H, W)``.
"""

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

_CLICK_SHARE = 0.45  # of the strokes; the others are scribbles
_LEAST_ERROR = 12  # pixels of an error that are worth a stroke
_CURVE_STEPS = 12  # points of a scribble between two that it was drawn through


class StrokeMaps(NamedTuple):
    """Where strokes say that the object is, and where they say that it is not."""

    positive: np.ndarray
    negative: np.ndarray


def first_strokes(rng: np.random.Generator, object_mask: np.ndarray) -> StrokeMaps:
    """Draw strokes for an object of which nothing is known.

    Args:
        rng: random numbers.
        object_mask: where the object is; at least in one pixel.

    Returns:
        one to three positive strokes, and up to three negative ones.
    """
    maps = StrokeMaps(np.zeros_like(object_mask), np.zeros_like(object_mask))
    radius = _radius(rng)
    for _ in range(int(rng.choice((1, 2, 3), p=(0.65, 0.2, 0.15)))):
        _add(maps.positive, _stroke(rng, object_mask, radius))
    if rng.random() < 0.55:
        for _ in range(int(rng.integers(1, 4))):
            _add(maps.negative, _surrounding_stroke(rng, object_mask, radius))
    return maps


def correct(
    rng: np.random.Generator, object_mask: np.ndarray, mask: np.ndarray, maps: StrokeMaps
) -> StrokeMaps:
    """Add a stroke on the largest error of a mask, or sometimes on another one.

    Args:
        rng: random numbers.
        object_mask: where the object is.
        mask: where it was found.
        maps: the strokes so far; they are left as they are.
    """
    maps = StrokeMaps(maps.positive.copy(), maps.negative.copy())
    missed, wrong = object_mask & ~mask, mask & ~object_mask
    areas = [_largest_area(missed), _largest_area(wrong)]
    if max(areas) < _LEAST_ERROR:
        return maps
    chosen = int(np.argmax(areas))
    if rng.random() < 0.15 and min(areas) >= _LEAST_ERROR:
        chosen = 1 - chosen
    stroke = _stroke(rng, (missed, wrong)[chosen], _radius(rng), largest=rng.random() < 0.8)
    _add(maps[chosen], stroke)
    maps[1 - chosen][stroke] = False
    return maps


def spoil(
    rng: np.random.Generator, object_mask: np.ndarray, others: np.ndarray | None = None
) -> np.ndarray:
    """Return a mask with such errors as the masks of a network have.

    Args:
        rng: random numbers.
        object_mask: the true one.
        others: where other objects are, which the mask may take in by mistake; None for none.
    """
    mask = _wobble(rng, object_mask)
    extent = max(8.0, float(np.sqrt(object_mask.sum())))
    if rng.random() < 0.5:
        mask &= ~_blob(rng, object_mask, extent * rng.uniform(0.15, 0.6))
    if rng.random() < 0.4:
        mask |= _blob(rng, object_mask, extent * rng.uniform(0.1, 0.4), spread=extent * 0.6)
    if others is not None and others.any() and rng.random() < 0.4:
        mask |= others & _blob(rng, others, extent * rng.uniform(0.3, 1.0))
    return mask


def center_of(region: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the point of a region that is farthest from its border.

    The border of the picture counts as one.

    Args:
        region: bool ``(H, W)``, with at least one pixel.
    """
    depth = _depth(region)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def largest_part(region: np.ndarray) -> np.ndarray:
    """Return the largest connected part of a region, of pixels that touch, also at corners."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    if count < 2:
        return np.zeros_like(region)
    part: np.ndarray = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return part


def _largest_area(region: np.ndarray) -> int:
    return int(largest_part(region).sum())


def _radius(rng: np.random.Generator) -> int:
    return int(rng.choice((1, 2, 3, 4, 6), p=(0.2, 0.3, 0.25, 0.15, 0.1)))


def _add(target: np.ndarray, stroke: np.ndarray) -> None:
    target |= stroke


def _depth(region: np.ndarray) -> np.ndarray:
    padded = cv2.copyMakeBorder(region.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth: np.ndarray = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return depth


def _stroke(
    rng: np.random.Generator, region: np.ndarray, radius: int, largest: bool = False
) -> np.ndarray:
    """Draw a click or a scribble in a region, which must not be empty."""
    part = largest_part(region) if largest or rng.random() < 0.6 else region
    depth = _depth(part)
    if rng.random() < _CLICK_SHARE:
        if rng.random() < 0.5:
            point = np.array(center_of(part)[::-1])
        else:
            point = _points(rng, depth, 0.3, 1)[0]
        return _draw(region, [point], max(2, radius))
    points = _points(rng, depth, float(rng.choice((0.15, 0.4, 0.6))), int(rng.integers(2, 7)))
    return _draw(region, _curve(rng, points), radius)


def _surrounding_stroke(
    rng: np.random.Generator, object_mask: np.ndarray, radius: int
) -> np.ndarray:
    """Draw a stroke in the background: around the object, near it, or anywhere."""
    background = ~object_mask
    if not background.any():
        return np.zeros_like(background)
    if rng.random() < 0.5:
        return _ring(rng, object_mask, radius)
    if rng.random() < 0.6:
        reach = 2 * int(rng.uniform(0.05, 0.25) * max(object_mask.shape)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        near = cv2.dilate(object_mask.astype(np.uint8), kernel) > 0
        background = near & background if (near & background).any() else background
    return _stroke(rng, background, radius)


def _ring(rng: np.random.Generator, object_mask: np.ndarray, radius: int) -> np.ndarray:
    """Draw part of a line around the object, at some distance."""
    away = cv2.distanceTransform((~object_mask).astype(np.uint8), cv2.DIST_L2, 3)
    away = cv2.blur(away, (9, 9))
    distance = rng.uniform(0.02, 0.2) * max(object_mask.shape) + radius
    inside = (away < distance).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)[:, 0]
    height, width = object_mask.shape
    # Where the line would leave the picture, a person draws none.
    held = (contour > 1).all(1) & (contour[:, 0] < width - 2) & (contour[:, 1] < height - 2)
    start = int(rng.integers(len(contour)))
    length = max(2, int(len(contour) * rng.uniform(0.15, 1.0)))
    kept = np.roll(np.arange(len(contour)), -start)[:length]
    line = np.zeros(object_mask.shape, np.uint8)
    for first, second in pairwise(kept):
        if held[first] and held[second]:
            cv2.line(line, contour[first].tolist(), contour[second].tolist(), 1, 2 * radius - 1)
    ring: np.ndarray = (line > 0) & ~object_mask
    return ring


def _points(rng: np.random.Generator, depth: np.ndarray, share: float, count: int) -> np.ndarray:
    """Return random points (x, y) at least so deep in a region as a share of its depth."""
    rows, columns = np.nonzero(depth >= max(share * float(depth.max()), 0.5))
    chosen = rng.integers(0, len(rows), count)
    return np.stack([columns[chosen], rows[chosen]], -1).astype(float)


def _curve(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Return a smooth line through points, in the order in which they lie, or in a random one."""
    if rng.random() < 0.7:
        spread = points - points.mean(0)
        axis = np.linalg.svd(spread, full_matrices=False)[2][0]
        points = points[np.argsort(spread @ axis)]
    times = np.linspace(0, len(points) - 1, _CURVE_STEPS * (len(points) - 1) + 1)
    places = np.stack([np.interp(times, np.arange(len(points)), each) for each in points.T], -1)
    padded = np.pad(places, ((4, 4), (0, 0)), mode="edge")
    kernel = np.full(9, 1 / 9)
    return np.stack([np.convolve(each, kernel, "valid") for each in padded.T], -1)


def _draw(region: np.ndarray, points: np.ndarray | list[np.ndarray], radius: int) -> np.ndarray:
    """Draw a line with round ends, where it is in the region."""
    canvas = np.zeros(region.shape, np.uint8)
    places = np.round(points).astype(np.int32)
    cv2.polylines(canvas, [places[:, None]], False, 1, 2 * radius - 1)
    for x, y in places[[0, -1]].tolist():
        cv2.circle(canvas, (x, y), radius, 1, -1)
    drawn: np.ndarray = (canvas > 0) & region
    return drawn


def _wobble(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Make a mask larger, smaller, and rougher."""
    height, width = mask.shape
    extent = max(4.0, float(np.sqrt(mask.sum())))
    sigma = extent * rng.uniform(0.01, 0.06)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.5, sigma))
    grid = int(rng.integers(6, 24))
    small = rng.uniform(-1, 1, (grid, grid)).astype(np.float32)
    noise = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    wobbled: np.ndarray = soft + rng.uniform(0, 0.45) * noise > 0.5
    return wobbled


def _blob(
    rng: np.random.Generator, region: np.ndarray, extent: float, spread: float = 0.0
) -> np.ndarray:
    """Return an ellipse around a point of a region, or not far from one."""
    rows, columns = np.nonzero(region)
    canvas = np.zeros(region.shape, np.uint8)
    chosen = int(rng.integers(len(rows)))
    center = np.array([columns[chosen], rows[chosen]]) + rng.normal(0, 1, 2) * spread
    axes = np.maximum(1, extent * rng.uniform(0.5, 1.0, 2)).astype(int).tolist()
    angle = float(rng.uniform(0, 180))
    cv2.ellipse(canvas, np.round(center).astype(int).tolist(), axes, angle, 0, 360, 1, -1)
    return canvas > 0
