"""Procedural outlines: blobs, polygons, and unions of ellipses and limbs like animals and people.

A shape has a number, and the same number and size give the same shape.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

NUM_SHAPES = 2048
"""Shapes are numbered from 0 to one below this."""
_KEPT = 2048
_LARGEST_KEPT = 224  # pixels; of larger ones, as many would fill the memory
_STREAM = 72
_FINE = 2  # shapes are drawn larger by this factor, for smooth edges


class Shape(NamedTuple):
    """An outline, filled.

    ``alpha`` uint8 ``(size, size)`` is 255 inside and 0 outside; ``relief`` uint8 of the same size
    is how light its surface is, 128 for as it is.
    """

    alpha: np.ndarray
    relief: np.ndarray


def shape(number: int, size: int) -> Shape:
    """Return a shape, which must not be written to.

    Args:
        number: of the shape.
        size: height and width in pixels.
    """
    return _keep(number, size) if size <= _LARGEST_KEPT else _make(number, size)


def _make(number: int, size: int) -> Shape:
    rng = np.random.default_rng([_STREAM, number])
    canvas = np.zeros((size * _FINE, size * _FINE), np.uint8)
    _DRAWERS[number % len(_DRAWERS)](rng, canvas)
    alpha = cv2.resize(_fit(canvas, rng), (size, size), interpolation=cv2.INTER_AREA)
    made = Shape(alpha, _relief(rng, alpha))
    for each in made:
        each.setflags(write=False)
    return made


_keep = lru_cache(_KEPT)(_make)


def _fit(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate a shape a little, and make it fill the canvas but for a margin."""
    left, top, width, height = cv2.boundingRect(canvas)
    side = canvas.shape[0]
    factor = 0.82 * side / max(width, height, 1)
    center = (left + width / 2, top + height / 2)
    matrix = cv2.getRotationMatrix2D(center, rng.normal(0, 12), factor)
    matrix[:, 2] += side / 2 - np.array(center)
    return cv2.warpAffine(canvas, matrix, (side, side))


def _relief(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Light a shape from one side, as if it were swollen in the middle."""
    height = cv2.GaussianBlur(alpha, (0, 0), alpha.shape[0] * rng.uniform(0.03, 0.1))
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=5)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=5)
    # Light comes from above more often than not.
    angle = rng.normal(np.pi / 2, 0.9)
    light = np.cos(angle) * slope_x + np.sin(angle) * slope_y
    light *= rng.uniform(0.1, 0.5) / max(float(np.abs(light).max()), 1e-6)
    return np.clip(128 * (1 + light), 40, 255).astype(np.uint8)


def _blob(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Fill a closed curve whose radius is a random Fourier series of the angle."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, 8):
        strength = rng.normal(0, 0.35) / wave
        radius += strength * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, 2.2) * canvas.shape[0] / 5
    _fill(canvas, angles, radius, rng.uniform(0.4, 1))


def _polygon(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Fill a polygon of 3 to 12 corners, convex or star-like."""
    count = int(rng.integers(3, 13))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = canvas.shape[0] / 4 * rng.uniform(rng.choice([0.3, 0.8]), 1.2, count)
    _fill(canvas, angles, radius, rng.uniform(0.5, 1))


def _fill(canvas: np.ndarray, angles: np.ndarray, radius: np.ndarray, aspect: float) -> None:
    side = canvas.shape[0]
    points = np.stack([np.cos(angles) * radius, np.sin(angles) * radius * aspect], -1) + side / 2
    cv2.fillPoly(canvas, [points.astype(np.int32)], 255)


def _animal(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draw a four-legged animal, or a bird, from the side."""
    side = canvas.shape[0]
    unit = side / 10
    body = np.array([side / 2, side / 2])
    length, girth = rng.uniform(1.6, 2.6) * unit, rng.uniform(0.6, 1.3) * unit
    _ellipse(canvas, body, (length, girth), rng.normal(0, 8))
    for end in (-1, 1):
        _ellipse(
            canvas,
            _offset(body, end * length * 0.6, 0),
            (girth * 1.1, girth * rng.uniform(0.8, 1.2)),
        )
    shoulder = _offset(body, length * 0.8, -girth * 0.4)
    head = _offset(shoulder, rng.uniform(0.2, 1.2) * unit, rng.uniform(-2.2, 0.4) * unit)
    skull = rng.uniform(0.45, 0.9) * unit
    _limb(canvas, [shoulder, head], girth * rng.uniform(0.6, 1.1), skull)
    _ellipse(canvas, head, (skull * rng.uniform(1, 1.4), skull))
    muzzle = _offset(head, skull * rng.uniform(1, 1.8), skull * rng.uniform(0, 0.6))
    _limb(canvas, [head, muzzle], skull, skull * rng.uniform(0.4, 0.9))
    for _ in range(int(rng.integers(0, 3))):
        tip = head + skull * np.array([rng.uniform(-0.9, 0.5), rng.uniform(-2.2, -1)])
        _limb(canvas, [head, tip], skull * 0.7, skull * 0.2)
    width = rng.uniform(0.2, 0.5) * unit
    for place in (-0.75, -0.6, 0.6, 0.75)[:: int(rng.choice([1, 2], p=[0.8, 0.2]))]:
        hip = _offset(body, length * place, girth * 0.4)
        knee = _offset(hip, rng.normal(0, 0.6) * unit, rng.uniform(0.8, 1.5) * unit)
        foot = _offset(knee, rng.normal(0, 0.6) * unit, rng.uniform(0.6, 1.4) * unit)
        _limb(canvas, [hip, knee, foot], width * 2, width)
    if rng.random() < 0.7:
        rump = _offset(body, -length * 0.95, -girth * 0.3)
        bend = _offset(rump, rng.normal(-0.8, 0.7) * unit, rng.normal(0, 0.7) * unit)
        tip = _offset(bend, rng.normal(-0.4, 0.9) * unit, rng.normal(0, 0.9) * unit)
        _limb(canvas, [rump, bend, tip], width * rng.uniform(0.8, 2), width * 0.6)


def _person(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draw a person, in any pose."""
    side = canvas.shape[0]
    unit = side / 10
    hips = np.array([side / 2, side * 0.55])
    neck = _offset(hips, rng.normal(0, 0.6) * unit, -rng.uniform(1.8, 2.6) * unit)
    width = rng.uniform(0.7, 1.4) * unit
    _limb(canvas, [hips, neck], width * 1.6, width * 2)
    head = _offset(neck, rng.normal(0, 0.2) * unit, -rng.uniform(0.6, 0.9) * unit)
    _ellipse(canvas, head, (0.45 * unit, 0.6 * unit))
    for end in (-1, 1):
        shoulder = _offset(neck, end * width * 0.8, 0.2 * unit)
        elbow = shoulder + _step(rng, 1.3 * unit, np.pi / 2, 0.9)
        hand = elbow + _step(rng, 1.2 * unit, np.pi / 2, 1.2)
        _limb(canvas, [shoulder, elbow, hand], width * 0.6, width * 0.4)
        hip = _offset(hips, end * width * 0.4, 0)
        knee = hip + _step(rng, 1.6 * unit, np.pi / 2, 0.5)
        foot = knee + _step(rng, 1.6 * unit, np.pi / 2, 0.5)
        _limb(canvas, [hip, knee, foot], width * 0.9, width * 0.5)


def _vehicle(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draw a body with a cabin on two or more wheels, or a frame with rings as wheels."""
    side = canvas.shape[0]
    unit = side / 10
    length, height = rng.uniform(1.8, 3.4) * unit, rng.uniform(0.5, 1.2) * unit
    middle = side / 2
    wheel = rng.uniform(0.5, 1.1) * unit
    base = middle + height
    places = np.linspace(-0.75, 0.75, int(rng.integers(2, 4))) * length + middle
    if rng.random() < 0.35:  # a bicycle and its rider, with holes to see through
        for x in places[[0, -1]]:
            center = (int(x), int(base))
            cv2.circle(canvas, center, int(wheel * 1.2), 255, max(2, int(0.18 * unit)))
        top = np.array([middle, base - 2.2 * unit])
        for x in places[[0, -1]]:
            _limb(canvas, [np.array([x, base]), top], 0.3 * unit, 0.3 * unit)
        _limb(canvas, [top, _offset(top, rng.uniform(-1, 1) * unit, -1.8 * unit)], unit, 0.7 * unit)
        return
    corner = np.array([[-length, -height], [length, height]]) + middle
    cv2.rectangle(canvas, corner[0].astype(int).tolist(), corner[1].astype(int).tolist(), 255, -1)
    left, right = np.sort(rng.uniform(-0.9, 0.9, 2)) * length
    roof = rng.uniform(0.4, 1.4) * unit
    slant = rng.uniform(0, 0.6) * unit
    cabin = np.array([[left - slant, 0], [left, -roof], [right, -roof], [right + slant, 0]])
    cabin += [middle, middle - height]
    cv2.fillPoly(canvas, [cabin.astype(np.int32)], 255)
    for x in places:
        _ellipse(canvas, np.array([x, base]), (wheel, wheel))


def _offset(point: np.ndarray, x: float, y: float) -> np.ndarray:
    moved: np.ndarray = point + np.array([x, y])
    return moved


def _step(rng: np.random.Generator, length: float, angle: float, spread: float) -> np.ndarray:
    direction = angle + rng.normal(0, spread)
    return length * np.array([np.cos(direction), np.sin(direction)])


def _ellipse(
    canvas: np.ndarray, center: np.ndarray, axes: tuple[float, float], angle: float = 0
) -> None:
    box = (tuple(map(float, center)), (2 * axes[0], 2 * axes[1]), angle)
    cv2.ellipse(canvas, box, 255, -1)


def _limb(canvas: np.ndarray, joints: list[np.ndarray], first: float, last: float) -> None:
    """Draw a bent limb that tapers from one width in pixels to another."""
    steps = np.linspace(0, 1, 9)
    widths = np.linspace(first, last, 9 * (len(joints) - 1))
    points = [a + (b - a) * s for a, b in pairwise(joints) for s in steps]
    for point, width in zip(points, widths, strict=True):
        cv2.circle(canvas, tuple(map(int, point)), max(1, int(width / 2)), 255, -1)


_DRAWERS = (_animal, _blob, _animal, _person, _animal, _polygon, _vehicle, _person)
