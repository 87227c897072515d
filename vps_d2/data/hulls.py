"""Silhouettes of objects on the floor, as the camera of the vps data sets sees them.

Nothing here imports PyTorch. Shapes: ``B`` objects, ``M`` corners of a silhouette, ``P`` points.
Pictures are 240 pixels wide here, whatever their real size; columns go to the right, rows down.
"""

from typing import NamedTuple

import numpy as np

from vps_d2.data.outlines import WIDTH
from vps_d2.data.world import RADIUS, SIZES, Camera

NUM_CORNERS = 24
"""Of a silhouette, round or not."""

_CAMERA = Camera()
_AXES = _CAMERA.axes()
_EYE = np.array(_CAMERA.position)
_FOCAL = _CAMERA.focal_length * WIDTH

# Corners on a circle's arcs, with a radius at which the polygon has the area of the circle.
_TURN = 2 * np.pi / NUM_CORNERS
_ANGLES = _TURN * np.arange(NUM_CORNERS)
_SWELL = np.sqrt(_TURN / np.sin(_TURN))


class Hulls(NamedTuple):
    """Silhouettes: convex polygons in the picture.

    Attributes:
        corners: float64 ``(B, M, 2)``, clockwise as seen.
        slopes: their derivatives by place x and y in meters and by yaw in radians, ``(B, M, 2, 3)``.
    """

    corners: np.ndarray
    slopes: np.ndarray


def project_spheres(places: np.ndarray, height: float) -> Hulls:
    """Return the silhouettes of spheres at places ``(B, 2)``, meters.

    Args:
        places: on the floor.
        height: of the pictures, in pixels.
    """
    radius = SIZES["sphere"][0]
    to_center = _lifted(places, RADIUS) - _EYE
    distance = np.linalg.norm(to_center, axis=1, keepdims=True)
    ahead = to_center / distance
    aside = np.stack([ahead[:, 1], -ahead[:, 0], np.zeros(len(places))], axis=1)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    down = np.cross(ahead, aside)
    # The camera sees a sphere up to the circle where its rays touch it.
    circle = radius * np.sqrt(1 - (radius / distance) ** 2) * _SWELL
    middle = to_center - ahead * radius**2 / distance
    around = aside[:, None] * np.cos(_ANGLES)[:, None] + down[:, None] * np.sin(_ANGLES)[:, None]
    return _project(middle[:, None] + circle[:, None] * around, None, height)


def project_cylinders(places: np.ndarray, height: float) -> Hulls:
    """Return the silhouettes of upright cylinders; see :func:`project_spheres`."""
    radius, _, half = SIZES["cylinder"]
    distance = np.linalg.norm(places, axis=1)
    # On the side where the camera sees the mantle the outline is the lower rim, else the upper one.
    edge = np.arccos(np.clip(radius / distance, -1, 1))
    part = 1 - (np.arange(NUM_CORNERS // 2) + 0.5) / (NUM_CORNERS // 2) * 2
    front, back = edge[:, None] * part, np.pi + (np.pi - edge[:, None]) * part
    angles = np.arctan2(-places[:, 1], -places[:, 0])[:, None] + np.hstack([front, back])
    swell = np.hstack([_swell(edge), _swell(np.pi - edge)])
    points = np.empty((len(places), NUM_CORNERS, 3))
    points[..., 0] = places[:, None, 0] + radius * swell * np.cos(angles)
    points[..., 1] = places[:, None, 1] + radius * swell * np.sin(angles)
    points[..., 2] = RADIUS + half * np.repeat([-1, 1], NUM_CORNERS // 2)
    return _project(points - _EYE, None, height)


def project_cubes(places: np.ndarray, yaws: np.ndarray, height: float, splits: int = 1) -> Hulls:
    """Return the silhouettes of cubes.

    Args:
        places: on the floor.
        yaws: about the vertical, ``(B,)``, radians.
        height: of the pictures, in pixels.
        splits: parts of each of the six edges, with a corner between two of them.
    """
    half = SIZES["cube"][0]
    # Of the four equal ways to see a cube, take the one whose side +x faces the camera.
    bearing = np.arctan2(-places[:, 1], -places[:, 0]) - yaws
    quarter = np.round(bearing / (np.pi / 2)) * (np.pi / 2)
    aside = np.linalg.norm(places, axis=1) * np.sin(bearing - quarter)
    left, right = aside > half, aside < -half
    signs = np.empty((len(places), 6, 3))
    signs[:] = _CUBE_CORNERS
    signs[left, 2] = (-1, 1, -1)
    signs[right, 5] = (-1, -1, -1)
    cos, sin = np.cos(yaws + quarter)[:, None] * half, np.sin(yaws + quarter)[:, None] * half
    offsets = np.empty_like(signs)
    offsets[..., 0] = cos * signs[..., 0] - sin * signs[..., 1]
    offsets[..., 1] = sin * signs[..., 0] + cos * signs[..., 1]
    offsets[..., 2] = RADIUS + half * signs[..., 2]
    if splits > 1:
        part = (np.arange(splits) / splits)[:, None]
        edges = np.roll(offsets, -1, axis=1) - offsets
        offsets = (offsets[:, :, None] + part * edges[:, :, None]).reshape(
            len(places), 6 * splits, 3
        )
    points = offsets - _EYE
    points[..., :2] += places[:, None]
    return _project(points, offsets, height)


_CUBE_CORNERS = np.array(
    [(-1, -1, 1), (-1, 1, 1), (1, 1, 1), (1, 1, -1), (1, -1, -1), (1, -1, 1)], np.float64
)


def _swell(half_arc: np.ndarray) -> np.ndarray:
    """Return factors ``(B, M / 2)`` of the radius for arcs that half of the corners lie on."""
    turn = 2 * half_arc / (NUM_CORNERS // 2)
    factor = np.sqrt(turn / np.sin(turn))
    return np.repeat(factor[:, None], NUM_CORNERS // 2, axis=1)


def _lifted(places: np.ndarray, height: float) -> np.ndarray:
    return np.hstack([places, np.full((len(places), 1), height)])


def _project(points: np.ndarray, offsets: np.ndarray | None, height: float) -> Hulls:
    """Project points ``(B, M, 3)`` relative to the camera; cubes turn about offsets' origin."""
    local = points @ _AXES.T
    inverse = 1 / np.maximum(local[..., 2], 0.5)
    ratio = local[..., :2] * inverse[..., None]
    corners = ratio * _FOCAL + np.array([WIDTH / 2, height / 2])
    slopes = np.zeros((*points.shape[:2], 2, 3))
    slopes[..., :2] = _AXES[:2, :2] - ratio[..., None] * _AXES[2, :2]
    slopes[..., :2] *= (_FOCAL * inverse)[..., None, None]
    if offsets is not None:
        turned = np.stack([-offsets[..., 1], offsets[..., 0]], axis=-1)
        slopes[..., 2] = (slopes[..., :2] @ turned[..., None])[..., 0]
    return Hulls(corners, slopes)
