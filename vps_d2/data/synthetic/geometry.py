"""Where rays meet boxes, spheres and cylinders, and how near they pass.

Vectors lie along the first axis of arrays: (3, ...).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Pose", "body_poses", "distance_to_ray", "dot", "hit_distance", "local_normal"]

_BEVEL = {"cube": 0.06, "cylinder": 0.04, "sphere": 0.0}
"""Meters of an edge that are rounded off."""
_DOME = 0.3
"""How far the normals of a cylinder's ends lean outwards at the rim, as the real ones seem to."""


@dataclass(frozen=True)
class Pose:
    """One object in all frames.

    Args:
        shape: cube, sphere or cylinder.
        half_size: float64 (3,), meters.
        positions: of its center, float64 (T, 3), meters.
        rotations: from its own axes to the world's, float32 (T, 3, 3).
    """

    shape: str
    half_size: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray

    @property
    def radius(self) -> float:
        """Of the sphere around the object, meters."""
        x, _, z = self.half_size
        if self.shape == "sphere":
            return float(x)
        if self.shape == "cylinder":
            return float(np.hypot(x, z))
        return float(np.linalg.norm(self.half_size))

    def same(self, first: int, second: int) -> bool:
        """Return whether the object stands still between two frames."""
        moved = np.abs(self.positions[first] - self.positions[second]).max()
        turned = np.abs(self.rotations[first] - self.rotations[second]).max()
        return bool(moved < 1e-3 and turned < 2e-3)


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the products, (n,), of vectors (3, n); twice as fast as a sum over the axis."""
    return np.asarray(first[0] * second[0] + first[1] * second[1] + first[2] * second[2])


def body_poses(
    shape: str, half_size: tuple[float, float, float], positions: np.ndarray, turns: np.ndarray
) -> Pose:
    """Return the pose of a body from positions (T, 3) and quaternions (T, 4), w first."""
    w, x, y, z = (turns / np.linalg.norm(turns, axis=-1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    rotations = np.moveaxis(np.array(rows), -1, 0).astype(np.float32)
    return Pose(shape, np.array(half_size, np.float32), positions, rotations)


def hit_distance(pose: Pose, origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return how far along rays (3, n) from origins (3, n) the surface is; inf where it is not.

    Both in the object's own axes; rays have length 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if pose.shape == "sphere":
            return _hit_sphere(float(pose.half_size[0]), origins, rays)
        if pose.shape == "cube":
            near, far = _slab(origins, rays, pose.half_size[:, None])
            enter, leave = near.max(axis=0), far.min(axis=0)
        else:
            enter, leave = _span_of_tube(float(pose.half_size[0]), origins, rays)
            near, far = _slab(origins[2:], rays[2:], pose.half_size[2:, None])
            enter, leave = np.maximum(enter, near[0]), np.minimum(leave, far[0])
        return np.where((enter <= leave) & (enter > 0), enter, np.inf).astype(np.float32)


def _hit_sphere(radius: float, origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
    along = -dot(origins, rays)
    gap = dot(origins, origins) - along * along
    inside = radius * radius - gap
    distance = along - np.sqrt(np.maximum(inside, 0))
    return np.where((inside > 0) & (distance > 0), distance, np.inf).astype(np.float32)


def _slab(origins: np.ndarray, rays: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse = 1 / np.where(np.abs(rays) < 1e-9, np.float32(1e-9), rays)
    middle, width = -origins * inverse, half * np.abs(inverse)
    return middle - width, middle + width


def _span_of_tube(
    radius: float, origins: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where rays go into and out of an endless upright cylinder."""
    (ox, oy, _), (dx, dy, _) = origins, rays
    square = np.maximum(dx * dx + dy * dy, 1e-12)
    middle = -(ox * dx + oy * dy) / square
    cross = ox * dy - oy * dx
    half = np.sqrt(np.maximum(radius * radius * square - cross * cross, -1)) / square
    return middle - half, np.where(np.isnan(half), -np.inf, middle + half)


def local_normal(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Return unit normals (3, n) at points (3, n) of the surface, all in the object's own axes.

    Edges are rounded off in the normals alone: there, metal catches the lamps.
    """
    bevel = _BEVEL[pose.shape]
    if pose.shape == "sphere":
        normal = points
    elif pose.shape == "cube":
        inner = (pose.half_size - bevel)[:, None]
        normal = points - np.clip(points, -inner, inner)
    else:
        radius, half = pose.half_size[0] - bevel, pose.half_size[2] - bevel
        axis_distance = np.hypot(points[0], points[1])
        outward = np.maximum(axis_distance - radius, 0) / np.maximum(axis_distance, 1e-6)
        axial = points[2] - np.clip(points[2], -half, half)
        outward += _DOME * np.abs(axial) / radius
        normal = np.stack([points[0] * outward, points[1] * outward, axial])
    length = np.sqrt(dot(normal, normal))
    return np.asarray(normal / np.maximum(length, 1e-6), dtype=np.float32)


def distance_to_ray(
    pose: Pose, frame_index: int, points: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far from an object the way from points to a target passes, and where.

    Args:
        pose: the object.
        frame_index: the frame.
        points: float32 (3, rows, columns), meters.
        target: float32 (3,), meters.

    Returns:
        distance in meters, below 0 inside, and the part of the way that is gone there, 0-1;
        both (rows, columns).
    """
    rotation = pose.rotations[frame_index].T
    center = pose.positions[frame_index].astype(np.float32)
    shape = points.shape[1:]
    start = rotation @ (points.reshape(3, -1) - center[:, None])
    way = (rotation @ (target - center))[:, None] - start
    inverse = 1 / np.maximum(dot(way, way), 1e-6)
    along = np.clip(-dot(start, way) * inverse, 0, 1)
    place = start + along * way
    if pose.shape != "sphere":
        # Projecting to and fro between two convex sets finds where they are nearest.
        along = np.clip(dot(_inside(pose, place) - start, way) * inverse, 0, 1)
        place = start + along * way
    return _signed_distance(pose, place).reshape(shape), along.reshape(shape)


def _inside(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Return the points of a cube or cylinder that are nearest to points (3, n)."""
    half = pose.half_size[:, None]
    if pose.shape == "cube":
        return np.asarray(np.clip(points, -half, half))
    shrink = np.minimum(1, half[0] / np.maximum(np.hypot(points[0], points[1]), 1e-6))
    height = np.clip(points[2], -half[2], half[2])
    return np.stack([points[0] * shrink, points[1] * shrink, height])


def _signed_distance(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Return how far points (3, n) are from the surface, below 0 inside."""
    half = pose.half_size
    if pose.shape == "sphere":
        return np.asarray(np.sqrt(dot(points, points)) - half[0])
    if pose.shape == "cube":
        outside = np.abs(points) - half[:, None]
        deepest = outside.max(axis=0)
    else:
        aside = np.hypot(points[0], points[1]) - half[0]
        above = np.abs(points[2]) - half[2]
        outside = np.stack([aside, above, np.zeros_like(above)])
        deepest = np.maximum(aside, above)
    far = np.maximum(outside, 0)
    return np.asarray(np.sqrt(dot(far, far)) + np.minimum(deepest, 0))
