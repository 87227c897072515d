"""Silhouettes of objects on the floor, as the camera of the vps data sets sees them.

Nothing here imports PyTorch. Shapes: ``B`` objects, ``M`` corners of a silhouette. Pictures are 240
pixels wide here, whatever their real size; x and y are pixels from the middle of the picture, to
the right and down. Everything is float32.
"""

from typing import NamedTuple

import numpy as np

from vps_d2.data.outlines import WIDTH
from vps_d2.data.world import MASK_HEIGHTS, MASK_SIZES, Camera

_CAMERA = Camera()
_EYE = np.array(_CAMERA.position, np.float32)
_FOCAL = _CAMERA.focal_length * WIDTH
# The camera looks along +y, so the picture's right is x, and down and forward have no part in x.
(_, (_, _DOWN_Y, _DOWN_Z), (_, _AHEAD_Y, _AHEAD_Z)) = _CAMERA.axes().tolist()
_NEAREST = 0.5
"""Meters in front of the camera; what is nearer is drawn there."""

SPLITS = 4
"""Parts of each of the six sides of a cube's silhouette."""
_NUM_CORNERS = 6 * SPLITS
_HALF = _NUM_CORNERS // 2
# Corners on a circle, with a radius at which the polygon has the area of the circle.
_STEP = 2 * np.pi / _NUM_CORNERS
_COS, _SIN = (wave(_STEP * np.arange(_NUM_CORNERS)).astype(np.float32) for wave in (np.cos, np.sin))
_SWELL = float(np.sqrt(_STEP / np.sin(_STEP)))
_ARC = (1 - (2 * np.arange(_HALF) + 1) / _HALF).astype(np.float32)
"""Where corners lie on half of an outline, between its ends at 1 and -1."""

_BEHIND, _LEFT, _RIGHT = (-1, -1, 1), (-1, 1, -1), (-1, -1, -1)
_CUBE_CORNERS = np.array(
    [_BEHIND, (-1, 1, 1), (1, 1, 1), (1, 1, -1), (1, -1, -1), (1, -1, 1)], np.float32
)
"""Of a cube whose side +x is seen, as half edges, in their order around its silhouette."""


class Hulls(NamedTuple):
    """Silhouettes: convex polygons in the picture, corners clockwise, ``(B, M)`` each.

    Attributes:
        x: of the corners.
        y: of the corners.
        scale: pixels that a meter has there.
        arm_x: meters from the axis about which the object turns to the corner; zero if its
            silhouette does not change by that.
        arm_y: the same along the world's y.
    """

    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    arm_x: np.ndarray
    arm_y: np.ndarray

    def areas(self) -> np.ndarray:
        """Return the areas in pixels, ``(B,)``."""
        return (self.x * following(self.y) - following(self.x) * self.y).sum(1) / 2


def following(values: np.ndarray) -> np.ndarray:
    """Return the values ``(B, M)`` of the next corners."""
    return np.concatenate([values[:, 1:], values[:, :1]], axis=1)


def project_spheres(x: np.ndarray, y: np.ndarray) -> Hulls:
    """Return the silhouettes of spheres at places on the floor, ``(B, 1)`` each, in meters."""
    radius, z = MASK_SIZES["sphere"][0], MASK_HEIGHTS["sphere"] - _EYE[2]
    floor = np.hypot(x, y)
    distance = np.hypot(floor, z)
    # The camera sees a sphere up to the circle where its rays touch it.
    circle = radius * np.sqrt(1 - (radius / distance) ** 2) * _SWELL
    middle = 1 - (radius / distance) ** 2
    aside, down = circle * _COS, circle * _SIN / distance
    along = down * z / floor
    return _project(
        x * middle + aside * y / floor + along * x,
        y * middle - aside * x / floor + along * y,
        z * middle - down * floor,
        None,
    )


def project_cylinders(x: np.ndarray, y: np.ndarray) -> Hulls:
    """Return the silhouettes of upright cylinders; see :func:`project_spheres`."""
    radius, _, half = MASK_SIZES["cylinder"]
    # On the side that the camera sees, the outline is the lower rim, on the other the upper one.
    edge = np.arccos(np.minimum(radius / np.hypot(x, y), 1))
    halves = np.concatenate([edge, np.pi - edge], axis=1)
    step = 2 * halves / _HALF
    reach = np.repeat(radius * np.sqrt(step / np.sin(step)), _HALF, axis=1)
    toward = np.arctan2(-y, -x)
    angles = np.concatenate([edge * _ARC, np.pi + halves[:, 1:] * _ARC], axis=1) + toward
    middle = MASK_HEIGHTS["cylinder"] - _EYE[2]
    z = np.repeat(np.array([middle - half, middle + half], np.float32), _HALF)
    return _project(x + reach * np.cos(angles), y + reach * np.sin(angles), z, None)


def project_cubes(x: np.ndarray, y: np.ndarray, yaw: np.ndarray, splits: int = 1) -> Hulls:
    """Return the silhouettes of cubes.

    Args:
        x: place on the floor, ``(B, 1)``, meters.
        y: the same.
        yaw: about the vertical, ``(B, 1)``, radians.
        splits: parts of each of the six sides, with a corner between two of them.
    """
    half = MASK_SIZES["cube"][0]
    # Of the four equal ways to see a cube, take the one whose side +x faces the camera.
    bearing = np.arctan2(-y, -x) - yaw
    quarter = np.round(bearing / (np.pi / 2)) * (np.pi / 2)
    aside = (np.hypot(x, y) * np.sin(bearing - quarter))[:, 0]
    signs = np.empty((len(x), 6, 3), np.float32)
    signs[:] = _CUBE_CORNERS
    signs[aside > half, 2] = _LEFT
    signs[aside < -half, 5] = _RIGHT
    if splits > 1:
        part = np.arange(splits, dtype=np.float32)[:, None] / np.float32(splits)
        sides = np.concatenate([signs[:, 1:], signs[:, :1]], axis=1) - signs
        points = signs[:, :, None] + part * sides[:, :, None]
        signs = points.reshape(len(x), 6 * splits, 3).astype(np.float32)
    cos, sin = half * np.cos(yaw + quarter), half * np.sin(yaw + quarter)
    arm_x = cos * signs[..., 0] - sin * signs[..., 1]
    arm_y = sin * signs[..., 0] + cos * signs[..., 1]
    z = half * signs[..., 2] + (MASK_HEIGHTS["cube"] - _EYE[2])
    return _project(x + arm_x, y + arm_y, z, (arm_x, arm_y))


def _project(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, arms: tuple[np.ndarray, np.ndarray] | None
) -> Hulls:
    """Return corners that are at x, y and z from the camera, ``(B, M)``."""
    scale = _FOCAL / np.maximum(_AHEAD_Y * y + _AHEAD_Z * z, _NEAREST)
    arm_x, arm_y = arms or (np.zeros_like(x), np.zeros_like(x))
    return Hulls(x * scale, (_DOWN_Y * y + _DOWN_Z * z) * scale, scale, arm_x, arm_y)


class Sides(NamedTuple):
    """Sides of silhouettes, from each corner to the next one.

    Attributes:
        lines: ``(B, 3, M)``: outward normals, and minus their product with points of the side.
        table: float32 ``(14, B * M)``: what :func:`fit_sides` needs of them.
    """

    lines: np.ndarray
    table: np.ndarray


def find_sides(hulls: Hulls) -> Sides:
    """Return the sides of silhouettes."""
    x, y, scale, arm_x, arm_y = hulls
    across, down = following(x) - x, following(y) - y
    inverse = 1 / np.maximum(across * across + down * down, 1e-9)
    length = np.sqrt(inverse)
    normal_x, normal_y = down * length, -across * length
    offset = normal_x * x + normal_y * y
    # By the place's y a point moves along the normal by this, times its scale. It is the same for
    # all points of a side.
    lift = normal_y * _DOWN_Y - offset * (_AHEAD_Y / _FOCAL)
    pull_x, pull_y = scale * arm_x, scale * arm_y
    table = [normal_x, normal_y, offset, x, y, across * inverse, down * inverse, lift]
    for value in (scale, pull_x, pull_y):
        table += [value, following(value) - value]
    lines = np.stack([normal_x, normal_y, -offset], axis=1)
    return Sides(lines, np.stack(table).reshape(len(table), -1))


class Misfit(NamedTuple):
    """How points ``(B, P)`` lie to silhouettes.

    Attributes:
        rows: ``(B, 4, P)``: derivatives of the distance by the place's x and y, in pixels per
            meter, and by yaw, in pixels per radian, and the distance outside in pixels.
        normal_x: of the side that is nearest, ``(B, P)``.
        normal_y: the same downwards.
    """

    rows: np.ndarray
    normal_x: np.ndarray
    normal_y: np.ndarray


def measure_misfit(hulls: Hulls, x: np.ndarray, y: np.ndarray, pushed: np.ndarray) -> Misfit:
    """Return how far points are outside of silhouettes.

    Args:
        hulls: the silhouettes.
        x: of the points, ``(B, P)``.
        y: of the points.
        pushed: ``(B, P, 3)``: x, y and 1 of places by which the side nearest to a point is chosen.
    """
    lines, table = find_sides(hulls)
    size = lines.shape[2]
    side = (pushed @ lines).argmax(2) + size * np.arange(len(lines))[:, None]
    (
        normal_x,
        normal_y,
        offset,
        start_x,
        start_y,
        along_x,
        along_y,
        lift,
        scale,
        scale_rise,
        pull_x,
        pull_x_rise,
        pull_y,
        pull_y_rise,
    ) = table.take(side, axis=1)
    # Beyond the ends as well, so that all parts of a straight side give the same derivatives.
    share = (x - start_x) * along_x + (y - start_y) * along_y
    rows = np.empty((len(side), 4, side.shape[1]), np.float32)
    rows[:, 3] = x * normal_x + y * normal_y - offset
    scale += share * scale_rise
    rows[:, 0] = -scale * normal_x
    rows[:, 1] = -scale * lift
    rows[:, 2] = (pull_y + share * pull_y_rise) * normal_x
    rows[:, 2] -= (pull_x + share * pull_x_rise) * lift
    return Misfit(rows, normal_x, normal_y)
