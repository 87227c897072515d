"""What frames are rendered from: where objects are, frame by frame, and which pixels they fill.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns. Places are on the floor, in meters.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vps_d2.data.hulls import project_cubes, project_cylinders, project_spheres
from vps_d2.data.outlines import WIDTH
from vps_d2.data.silhouettes import measure_silhouettes
from vps_d2.data.synthetic.geometry import Pose
from vps_d2.data.vps import class_parts
from vps_d2.data.world import RADIUS, SIZES, Camera

CAMERA = Camera()
_AWAY = 1e4
"""Meters in front of the camera: where objects are put while they are not there."""
_NEAREST = 1.0
"""Meters: what is closer to the camera, or behind it, is not drawn."""
_FAR_OUT = 1e4
"""Pixels, beyond which outlines are cut off."""
_SHIFT = 4
"""Binary digits of the fractions of pixels with which outlines are drawn."""
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


def yaws_of(directions: np.ndarray, certain: float = _CERTAIN) -> np.ndarray:
    """Return yaws in radians, ``(...)``, NaN where they are too uncertain.

    Args:
        directions: cosine and sine of four times the yaw, times how certain it is, ``(..., 2)``.
        certain: how certain they must be, 0-1.
    """
    yaws = np.arctan2(directions[..., 1], directions[..., 0]) / 4
    return np.where(np.linalg.norm(directions, axis=-1) >= certain, yaws, np.nan)


def draw_masks(
    class_ids: np.ndarray, places: np.ndarray, yaws: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Draw the silhouettes of objects; the nearer covers the farther.

    Args:
        class_ids: ``(K,)``.
        places: ``(K, T, 2)``; NaN where an object is not there.
        yaws: of cubes, ``(K, T)``; NaN counts as 0.
        size: ``H`` and ``W``.

    Returns:
        class maps uint8 ``(T, H, W)``.
    """
    masks = np.zeros((places.shape[1], *size), np.uint8)
    centers = np.concatenate([places, np.full((*places.shape[:2], 1), RADIUS)], axis=-1)
    depths = CAMERA.project(centers, *size)[..., 2]
    polygons = [
        _outlines(*each, size) for each in zip(class_ids, places, np.nan_to_num(yaws), strict=True)
    ]
    for index, mask in enumerate(masks):
        for number in np.argsort(-depths[:, index]):
            if depths[number, index] > _NEAREST:  # not NaN
                points = np.round(polygons[number][index] * 2**_SHIFT).astype(np.int32)
                cv2.fillConvexPoly(mask, points, int(class_ids[number]), shift=_SHIFT)
    return masks


def _outlines(
    class_id: int, places: np.ndarray, yaws: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the outlines ``(T, M, 2)`` of an object, in pixels from the first one's center."""
    x, y = np.nan_to_num(places, nan=_AWAY).T[..., None]
    shape = shape_of(class_id)
    if shape == "cube":
        hulls = project_cubes(x, y, yaws[:, None])
    else:
        hulls = (project_spheres if shape == "sphere" else project_cylinders)(x, y)
    corners = np.stack([hulls.x, hulls.y], axis=-1) * (size[1] / WIDTH)
    corners += (size[1] / 2 - 0.5, size[0] / 2 - 0.5)
    return np.clip(corners, -_FAR_OUT, _FAR_OUT)


def shape_of(class_id: int) -> str:
    """Return the shape of a class: cube, sphere or cylinder."""
    return class_parts(class_id)[0]


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
