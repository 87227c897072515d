"""What frames are rendered from: where objects are, frame by frame, and which pixels they fill.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns. Places are on the floor, in meters.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vps_d2.data.synthetic.geometry import Pose
from vps_d2.data.vps import COLORS, MATERIALS, SHAPES
from vps_d2.data.world import RADIUS, SIZES, Camera

CAMERA = Camera()
_AWAY = 1e4
"""Meters in front of the camera: where objects are put while they are not there."""


class SceneMotion(NamedTuple):
    """The objects of a video in some of its frames.

    Attributes:
        class_ids: class numbers, int64 ``(K,)``.
        places: of their centers, float64 ``(K, T, 2)``; NaN where an object is not there.
        yaws: of cubes, in radians, float64 ``(K, T)``; NaN where unknown.
        masks: class maps of what is seen of them, uint8 ``(T, H, W)``.
    """

    class_ids: np.ndarray
    places: np.ndarray
    yaws: np.ndarray
    masks: np.ndarray


def shape_of(class_id: int) -> str:
    """Return the shape of a class: cube, sphere or cylinder."""
    return SHAPES[(int(class_id) - 1) // (len(MATERIALS) * len(COLORS))]


def make_pose(class_id: int, places: np.ndarray, yaws: np.ndarray) -> Pose:
    """Return the pose of an object.

    Args:
        class_id: its class number.
        places: ``(T, 2)``; where they are NaN, the object is put far away.
        yaws: ``(T,)`` radians; NaN counts as 0.
    """
    shape = shape_of(class_id)
    there = np.isfinite(places).all(axis=1)
    ground = np.where(there[:, None], places, (0.0, _AWAY))
    positions = np.column_stack([ground, np.full(len(places), RADIUS)])
    return Pose(shape, np.array(SIZES[shape], np.float32), positions, turns(np.nan_to_num(yaws)))


def turns(angles: np.ndarray) -> np.ndarray:
    """Return rotations about the vertical, float32 ``(T, 3, 3)``, by angles ``(T,)`` in radians."""
    cos, sin = np.cos(angles), np.sin(angles)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    rows = [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]
    return np.moveaxis(np.array(rows), -1, 0).astype(np.float32)


def outline(pose: Pose, index: int, size: tuple[int, int]) -> np.ndarray:
    """Return the outline of an object in the picture: a convex polygon.

    Args:
        pose: of the object.
        index: of the frame.
        size: ``H`` and ``W``.

    Returns:
        float32 ``(n, 2)``, x and y in pixels; the center of the first pixel is 0.5.
    """
    half = pose.half_size.astype(np.float64)
    if pose.shape == "sphere":
        corners = _sphere_rim(pose.positions[index], float(half[0]))
    else:
        ring = _SQUARE if pose.shape == "cube" else _CIRCLE
        flat = ring * half[:2] @ pose.rotations[index, :2, :2].T
        corners = np.concatenate(
            [np.column_stack([flat, np.full(len(flat), level)]) for level in (-half[2], half[2])]
        )
        corners = corners + pose.positions[index]
    seen = CAMERA.project(corners, *size)[:, :2].astype(np.float32)
    return cv2.convexHull(seen)[:, 0]


_SQUARE = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
_CIRCLE = np.column_stack([f(np.arange(24) * (2 * np.pi / 24)) for f in (np.cos, np.sin)]) * 1.003


def _sphere_rim(center: np.ndarray, radius: float) -> np.ndarray:
    """Return points of the circle in which the camera's rays touch a sphere, ``(n, 3)``."""
    way = np.array(CAMERA.position) - center
    distance = np.linalg.norm(way)
    toward = way / distance
    aside = np.cross(toward, (0.0, 0.0, 1.0))
    aside /= np.linalg.norm(aside)
    up = np.cross(aside, toward)
    middle = center + toward * radius**2 / distance
    rim = radius * np.sqrt(1 - (radius / distance) ** 2)
    return np.asarray(middle + rim * _CIRCLE @ np.stack([aside, up]))
