"""What objects look like: their own pixels from the frames in which they are seen best.

A place of an object's surface that is wanted is looked up in an input frame: turned with a cube,
seen from the side from which a sphere or cylinder is seen, and scaled by perspective.

Shapes: ``T`` frames, ``n`` places; vectors lie along the first axis, ``(3, n)``. Colors are RGB,
0-255.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vps_d2.data.synthetic.background import LAMPS
from vps_d2.data.synthetic.geometry import Pose, dot, hit_distance, local_normal
from vps_d2.data.synthetic.materials import Look, body_look, shade
from vps_d2.data.synthetic.scene import Body
from vps_d2.data.vps import class_parts
from vps_d2.inference.object_frames.scene import CAMERA, turns

_DEPTH = 0.04
"""Meters behind the surface that the camera sees at which a place is on the far side."""
_PULLS = (0.0, 0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)
"""Parts of the way to an object's center in which a point beside it is moved onto it."""
_INNER = 0.25
"""Share of a mask that must be left without its edge, or else the edge is used, too."""
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_AROUND = 0.6
"""Of the size of a mask: how far around it the colors are carried on."""
_ROW = 256
"""Points in a row of the grid in which OpenCV samples them."""


@dataclass(frozen=True)
class Surface:
    """Places of an object's surface that the pixels of some frames show.

    Args:
        frame_index: ``(n,)``.
        offsets: from the center of the object, meters, ``(3, n)``.
        normals: unit vectors, ``(3, n)``.
        rays: unit directions in which they are seen, ``(3, n)``.
    """

    frame_index: np.ndarray
    offsets: np.ndarray
    normals: np.ndarray
    rays: np.ndarray


def find_surface(
    pose: Pose,
    frame_index: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    size: tuple[int, int],
) -> Surface:
    """Return the places of an object that points of the picture show.

    A point beside the object shows the nearest place of it towards its center.

    Args:
        pose: of the object.
        frame_index: of the points, ``(n,)``.
        columns: of the points, in pixels; the center of the first pixel is 0.5.
        rows: the same downwards.
        size: ``H`` and ``W``.
    """
    camera = np.array(CAMERA.position, np.float32)
    inverse = np.moveaxis(pose.rotations, 1, 2)
    origins = np.einsum("tij,tj->ti", inverse, camera - pose.positions).astype(np.float32)
    centers = CAMERA.project(pose.positions, *size)
    distance = np.full(len(columns), np.inf, np.float32)
    rays = np.zeros((3, len(columns)), np.float32)
    left = np.arange(len(columns))
    for pull in _PULLS:
        index = frame_index[left]
        x = columns[left] + pull * (centers[index, 0] - columns[left])
        y = rows[left] + pull * (centers[index, 1] - rows[left])
        rays[:, left] = CAMERA.rays(x, y, *size).T
        local = np.einsum("nij,jn->in", inverse[index], rays[:, left])
        distance[left] = hit_distance(pose, origins[index].T, local)
        left = left[~np.isfinite(distance[left])]
        if not len(left):
            break
    distance = np.where(np.isfinite(distance), distance, 1.0)
    points = camera[:, None] + distance * rays
    offsets = points - pose.positions.T.astype(np.float32)[:, frame_index]
    local = np.einsum("nij,jn->in", inverse[frame_index], offsets)
    normals = np.einsum("nij,jn->in", pose.rotations[frame_index], local_normal(pose, local))
    return Surface(frame_index, offsets, normals, rays)


@dataclass(frozen=True)
class Source:
    """An input frame in which an object is seen.

    Args:
        index: of the frame.
        picture: uint8 ``(H, W, 3)``, in which the object's colors are carried on around it.
        inside: bool ``(H, W)``: where the object is seen.
    """

    index: int
    picture: np.ndarray
    inside: np.ndarray


def make_source(index: int, frame: np.ndarray, mask: np.ndarray) -> Source:
    """Return a source of an object's pixels.

    Args:
        index: of the frame.
        frame: uint8 ``(H, W, 3)``.
        mask: of the object, uint8 0 or 1 ``(H, W)``; at least one pixel.
    """
    # At the edge, the colors are mixed with those behind the object.
    inner = cv2.erode(mask, _CROSS, borderValue=1)
    if cv2.countNonZero(inner) < _INNER * cv2.countNonZero(mask):
        inner = mask
    x, y, width, height = _window(mask)
    rows, columns = slice(y, y + height), slice(x, x + width)
    part = np.ascontiguousarray(inner[rows, columns])
    _, labels = cv2.distanceTransformWithLabels(
        1 - part, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colors = frame[rows, columns]
    table = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    table[labels[part > 0]] = colors[part > 0]
    picture = frame.copy()
    picture[rows, columns] = table[labels]
    return Source(index, picture, mask > 0)


def _window(mask: np.ndarray) -> tuple[int, int, int, int]:
    height, width = mask.shape
    x, y, across, down = cv2.boundingRect(mask)
    margin = 3 + int(_AROUND * max(across, down))
    left, top = max(0, x - margin), max(0, y - margin)
    right, bottom = min(width, x + across + margin), min(height, y + down + margin)
    return left, top, right - left, bottom - top


def look_up(
    surface: Surface, pose: Pose, seen: Pose, source: Source
) -> tuple[np.ndarray, np.ndarray]:
    """Look up places of an object in an input frame.

    Args:
        surface: the places.
        pose: of the object in their frames.
        seen: its pose in the input frames.
        source: the frame.

    Returns:
        colors float32 ``(n, 3)``, and bool ``(n,)``: whether the place is seen there.
    """
    size = source.inside.shape
    turn = _turns_between(pose, seen, source.index)[surface.frame_index]
    offsets = np.einsum("nij,jn->in", turn, surface.offsets)
    points = offsets + seen.positions[source.index].astype(np.float32)[:, None]
    at = CAMERA.project(points.T, *size)[:, :2]
    colors = _sample(source.picture, at)
    column, row = np.floor(at).astype(int).T
    within = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    inside = source.inside[np.clip(row, 0, size[0] - 1), np.clip(column, 0, size[1] - 1)]
    return colors, within & inside & _in_sight(points, seen, source.index)


def _in_sight(points: np.ndarray, pose: Pose, index: int) -> np.ndarray:
    """Return which places ``(3, n)`` of an object the camera sees, bool ``(n,)``."""
    inverse = pose.rotations[index].T
    camera = np.array(CAMERA.position, np.float32)
    rays = points - camera[:, None]
    distance = np.sqrt(dot(rays, rays))
    origin = inverse @ (camera - pose.positions[index]).astype(np.float32)
    # The same vector for each ray.
    origins = np.broadcast_to(origin[:, None], rays.shape)
    first = hit_distance(pose, origins, inverse @ (rays / distance))
    return np.asarray((distance - first < _DEPTH) | ~np.isfinite(first))


def _turns_between(pose: Pose, seen: Pose, index: int) -> np.ndarray:
    """Return the rotations ``(T, 3, 3)`` from what is wanted to what is seen in an input frame."""
    if pose.shape == "cube":
        yaw = _yaws(seen.rotations[index : index + 1]) - _yaws(pose.rotations)
        # A cube looks the same after a quarter turn, so it is turned by an eighth at most.
        return turns((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    bearings = [np.arctan2(each.positions[:, 0], each.positions[:, 1]) for each in (pose, seen)]
    if pose.shape == "cylinder":
        return turns(bearings[0] - bearings[1][index])
    views = [_views(each.positions) for each in (pose, seen)]
    return np.einsum("ji,tjk->tik", views[1][index], views[0]).astype(np.float32)


def _yaws(rotations: np.ndarray) -> np.ndarray:
    return np.asarray(np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0]))


def _views(positions: np.ndarray) -> np.ndarray:
    """Return right, up and towards the camera at places ``(T, 3)``: ``(T, 3, 3)``, in rows."""
    toward = np.array(CAMERA.position) - positions
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    right = np.cross((0.0, 0.0, 1.0), toward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(toward, right), toward], axis=1)


def _sample(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the colors, float32 ``(n, 3)``, of a picture at points ``(n, 2)``."""
    count = len(points)
    rows = -(-count // _ROW)
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[:count] = points - 0.5
    grid = padded.reshape(rows, _ROW, 2)
    # The border of the picture is carried on beyond it.
    colors = cv2.remap(
        picture.astype(np.float32),
        grid[..., 0],
        grid[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(np.clip(colors.reshape(-1, 3)[:count], 0, 255))


def usual_look(class_id: int) -> Look:
    """Return how the data set paints the objects of a class."""
    body = Body(*class_parts(class_id), (1.0, 1.0, 1.0))
    return body_look(body, 0.0, np.random.default_rng(0))


def paint(class_id: int, surface: Surface, centers: np.ndarray) -> np.ndarray:
    """Return how the data set paints places of an object of a class, float32 ``(n, 3)``.

    Args:
        class_id: the class.
        surface: the places.
        centers: of the object in each place's frame, ``(3, n)``.
    """
    points = surface.offsets + centers
    look = usual_look(class_id)
    return shade(look, LAMPS, points, surface.normals, surface.rays, centers).T
