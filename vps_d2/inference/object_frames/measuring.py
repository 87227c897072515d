"""Where the objects of a video are, and how cubes are turned, as their masks show it.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vps_d2.data.world import RADIUS
from vps_d2.inference.object_frames.scene import (
    CAMERA,
    SceneMotion,
    make_pose,
    outline,
    shape_of,
)

_MIN_PIXELS = 12
"""In a picture 240 wide; smaller patches are a segmenter's mistakes more often than objects."""
_STEPS = 3
"""Corrections of a place, each by what the outline there is off."""
_YAWS = np.radians(np.arange(0.0, 90.0, 7.5))
_TELLING = 0.02
"""By how much a yaw must fit a mask better than that of the frame before to be believed."""


_SHIFT = 4
"""Binary digits of the fractions of pixels with which outlines are drawn."""


class Sights(NamedTuple):
    """How well each object is seen in each frame, float64 ``(K, T)``.

    Attributes:
        areas: of what is seen of it, in pixels.
        shares: of its whole outline that is seen, 0-1.
    """

    areas: np.ndarray
    shares: np.ndarray


def measure_scene(masks: np.ndarray, class_ids: np.ndarray) -> tuple[SceneMotion, Sights]:
    """Measure objects.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        class_ids: of the objects, ``(K,)``.

    Returns:
        their motion, with NaN where they are not seen, and how well they are seen.
    """
    shape = (len(class_ids), len(masks))
    places, yaws = np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    areas, shares = np.zeros(shape), np.zeros(shape)
    least = max(3.0, _MIN_PIXELS * (masks.shape[2] / 240) ** 2)
    for number, class_id in enumerate(class_ids):
        yaw = 0.0
        for index, mask in enumerate(masks):
            seen = (mask == class_id).view(np.uint8)
            areas[number, index] = cv2.countNonZero(seen)
            if areas[number, index] < least:
                continue
            place = _find_place(int(class_id), seen, yaw)
            if shape_of(class_id) == "cube":
                yaw = find_yaw(int(class_id), seen, place, yaw)
                place = _find_place(int(class_id), seen, yaw)
            places[number, index], yaws[number, index] = place, yaw
            polygon = outline_at(int(class_id), place, yaw, seen.shape)
            whole = cv2.contourArea(polygon)
            shares[number, index] = min(1.0, areas[number, index] / max(whole, 1.0))
    return SceneMotion(np.asarray(class_ids), places, yaws, masks), Sights(areas, shares)


def outline_at(
    class_id: int, place: np.ndarray, yaw: float, size: tuple[int, ...]
) -> np.ndarray:
    """Return the outline, float32 ``(n, 2)`` in pixels, of a class at a place ``(2,)``."""
    pose = make_pose(class_id, np.asarray(place)[None], np.array([yaw]))
    return outline(pose, 0, (size[0], size[1]))


def ground_place(point: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the place ``(2,)`` of an object whose center is seen at ``(x, y)`` in pixels."""
    ray = CAMERA.rays(point[0], point[1], size[0], size[1])
    distance = (RADIUS - CAMERA.position[2]) / min(ray[2], -0.02)
    return np.asarray(np.array(CAMERA.position[:2]) + distance * ray[:2])


def center_point(place: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return where the center of an object is seen, ``(..., 2)`` in pixels."""
    place = np.asarray(place, dtype=np.float64)
    center = np.concatenate([place, np.full((*place.shape[:-1], 1), RADIUS)], axis=-1)
    return CAMERA.project(center, size[0], size[1])[..., :2]


def _find_place(class_id: int, seen: np.ndarray, yaw: float) -> np.ndarray:
    """Return the place of an object at which its outline lies on its mask ``(H, W)``.

    Of an object that the border of the picture cuts, only the sides that are seen count.
    """
    height, width = seen.shape
    x, y, across, down = cv2.boundingRect(seen)
    sides = np.array([x, y, x + across, y + down], dtype=np.float64)
    free = np.array([x > 0, y > 0, x + across < width, y + down < height])
    moments = cv2.moments(seen, binaryImage=True)
    middle = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    point = middle.copy()
    for _ in range(_STEPS):
        place = ground_place(point, seen.shape)
        polygon = outline_at(class_id, place, yaw, seen.shape)
        if free.all():
            point += middle - _centroid(polygon)
            continue
        gap = sides - np.concatenate([polygon.min(axis=0), polygon.max(axis=0)])
        for axis in (0, 1):
            gaps = gap[axis::2][free[axis::2]]
            point[axis] += gaps.mean() if len(gaps) else 0.0
    return ground_place(point, seen.shape)


def _centroid(polygon: np.ndarray) -> np.ndarray:
    moments = cv2.moments(polygon)
    area = max(moments["m00"], 1e-6)
    return np.array([moments["m10"], moments["m01"]]) / area


def find_yaw(class_id: int, seen: np.ndarray, place: np.ndarray, before: float) -> float:
    """Return the yaw, in radians, at which the outline of a cube fits its mask best.

    Args:
        class_id: of the cube.
        seen: its mask, uint8 0 or 1 ``(H, W)``.
        place: of its center, ``(2,)``.
        before: the yaw to stay with unless another fits clearly better.
    """
    x, y, across, down = cv2.boundingRect(seen)
    window = seen[y : y + down, x : x + across]
    area = cv2.countNonZero(window)
    overlaps = []
    for yaw in (before, *_YAWS):
        drawn = np.zeros_like(window)
        polygon = outline_at(class_id, place, yaw, seen.shape) - (x + 0.5, y + 0.5)
        points = np.round(polygon * 2**_SHIFT).astype(np.int32)
        cv2.fillConvexPoly(drawn, points, 1, shift=_SHIFT)
        common = cv2.countNonZero(drawn & window)
        overlaps.append(common / max(area + cv2.countNonZero(drawn) - common, 1))
    best = int(np.argmax(overlaps))
    return before if overlaps[best] < overlaps[0] + _TELLING else float(_YAWS[best - 1])
