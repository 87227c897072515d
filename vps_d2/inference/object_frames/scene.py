"""What frames are rendered from: where objects are, frame by frame, and which pixels they fill.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns. Places are on the floor, in meters.
"""

from typing import NamedTuple

import numpy as np

from vps_d2.data.silhouettes import measure_silhouettes
from vps_d2.data.synthetic.geometry import Pose
from vps_d2.data.vps import COLORS, MATERIALS, SHAPES
from vps_d2.data.world import RADIUS, SIZES, Camera

CAMERA = Camera()
_AWAY = 1e4
"""Meters in front of the camera: where objects are put while they are not there."""
_CERTAIN = 0.5
"""Length of a measured direction below which a yaw counts as unknown."""


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

    def poses(self) -> list[Pose]:
        """Return the pose of each object; one that is not there is far away."""
        return list(map(_pose, self.class_ids, self.places, self.yaws))


class Sights(NamedTuple):
    """How well each object is seen in each frame, float64 ``(K, T)``.

    Attributes:
        areas: of what is seen of it, in pixels.
        shares: of its whole outline that is seen and free, 0-1.
    """

    areas: np.ndarray
    shares: np.ndarray


def measure_motion(masks: np.ndarray, class_ids: np.ndarray) -> tuple[SceneMotion, Sights]:
    """Measure objects by their masks.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        class_ids: of the objects, int64 ``(K,)``.

    Returns:
        their motion, with NaN where they are not seen, and how well they are seen.
    """
    class_ids = np.asarray(class_ids, np.int64)
    measures = measure_silhouettes(masks, class_ids).astype(np.float64)
    seen = measures[..., 0] > 0
    places = np.where(seen[..., None], measures[..., 1:3], np.nan)
    free = np.clip(1 - measures[..., 8] - measures[..., 9], 0.01, 1)
    shares = np.where(seen, np.minimum(measures[..., 0], free), 0)
    counts = [np.bincount(mask.ravel(), minlength=256)[class_ids] for mask in masks]
    areas = np.stack(counts, axis=1) if counts else np.zeros(seen.shape)
    yaws = yaws_of(measures[..., 3:5])
    return SceneMotion(class_ids, places, yaws, masks), Sights(areas * seen, shares)


def yaws_of(directions: np.ndarray) -> np.ndarray:
    """Return yaws in radians, ``(...)``, NaN where they are too uncertain.

    Args:
        directions: cosine and sine of four times the yaw, times how certain it is, ``(..., 2)``.
    """
    yaws = np.arctan2(directions[..., 1], directions[..., 0]) / 4
    return np.where(np.linalg.norm(directions, axis=-1) >= _CERTAIN, yaws, np.nan)


def shape_of(class_id: int) -> str:
    """Return the shape of a class: cube, sphere or cylinder."""
    return SHAPES[(int(class_id) - 1) // (len(MATERIALS) * len(COLORS))]


def turns(angles: np.ndarray) -> np.ndarray:
    """Return rotations about the vertical, float32 ``(T, 3, 3)``, by angles ``(T,)`` in radians."""
    cos, sin = np.cos(angles), np.sin(angles)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    rows = [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]
    return np.moveaxis(np.array(rows), -1, 0).astype(np.float32)


def _pose(class_id: int, places: np.ndarray, yaws: np.ndarray) -> Pose:
    shape = shape_of(class_id)
    there = np.isfinite(places).all(axis=1)
    ground = np.where(there[:, None], places, (0.0, _AWAY))
    positions = np.column_stack([ground, np.full(len(places), RADIUS)])
    return Pose(shape, np.array(SIZES[shape], np.float32), positions, turns(np.nan_to_num(yaws)))
