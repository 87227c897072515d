"""Predicted frames as sharp as the input: objects' own pixels over the empty scene.

Shapes: ``K`` objects, ``T_in`` input and ``T`` predicted frames, ``H`` rows, ``W`` columns.
"""


import cv2
import numpy as np

from vps_d2.data.synthetic.geometry import Pose
from vps_d2.inference.object_frames.background import find_background, scene_light
from vps_d2.inference.object_frames.looks import (
    Source,
    Surface,
    find_surface,
    look_up,
    make_source,
    paint,
)
from vps_d2.inference.object_frames.scene import SceneMotion, Sights

_SOFTNESS = 0.5
"""Standard deviation, in pixels, of the edge of an object."""
_SOURCES = 3
"""Input frames from which an object's pixels are taken, at most."""


def render_frames(
    frames: np.ndarray, known: SceneMotion, sights: Sights, future: SceneMotion
) -> np.ndarray:
    """Render predicted frames.

    Args:
        frames: the input, uint8 ``(T_in, H, W, 3)``.
        known: the objects in them.
        sights: how well they are seen there.
        future: the same objects in the predicted frames; the masks say which pixels they fill.

    Returns:
        uint8 ``(T, H, W, 3)``.
    """
    size = (frames.shape[1], frames.shape[2])
    before = known.poses()
    after = future.poses()
    light = scene_light(before, len(frames), size)
    background = find_background(frames, known.masks, light)
    picture = background.draw(scene_light(after, len(future.masks), size))
    covered = np.zeros(picture.shape[:3], np.float32)
    painted = np.zeros_like(picture)
    for number, class_id in enumerate(known.class_ids):
        mask = (future.masks == class_id).view(np.uint8)
        if not mask.any():
            continue
        alpha = _soften(mask)
        index, rows, columns = np.nonzero(alpha)
        sources = _find_sources(frames, known, sights, number)
        colors = _colors(
            int(class_id), after[number], before[number], sources, (index, rows, columns), mask
        )
        weight = alpha[index, rows, columns]
        painted[index, rows, columns] += weight[:, None] * colors
        covered[index, rows, columns] += weight
    picture = picture * (1 - covered)[..., None] + painted
    return np.asarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))


def _soften(masks: np.ndarray) -> np.ndarray:
    """Return how much of each pixel an object fills: more than a half inside of its mask."""
    soft = [cv2.GaussianBlur(mask.astype(np.float32), (3, 3), _SOFTNESS) for mask in masks]
    return np.where(np.stack(soft) > 0.02, np.stack(soft), 0)


def _find_sources(
    frames: np.ndarray, known: SceneMotion, sights: Sights, number: int
) -> list[Source]:
    """Return the input frames to take an object's pixels from, the best one first."""
    areas, shares = sights.areas[number], sights.shares[number]
    usable = np.flatnonzero(shares > 0)
    if not len(usable):
        return []
    age = len(frames) - 1 - usable
    worth = np.minimum(shares[usable], 0.93) + 0.1 * np.log(areas[usable]) - 0.02 * age
    best = usable[np.argsort(-worth, kind="stable")[:_SOURCES]]
    return [_source(frames, known, number, int(index), shares[index]) for index in best]


def _source(
    frames: np.ndarray, known: SceneMotion, number: int, index: int, share: float
) -> Source:
    class_id = known.class_ids[number]
    mask = (known.masks[index] == class_id).view(np.uint8)
    return make_source(index, frames[index], mask, np.zeros(2))


def _colors(
    class_id: int,
    pose: Pose,
    seen: Pose,
    sources: list[Source],
    pixels: tuple[np.ndarray, np.ndarray, np.ndarray],
    mask: np.ndarray,
) -> np.ndarray:
    """Return the colors, float32 ``(n, 3)``, of an object in pixels (frame, row, column)."""
    index, rows, columns = pixels
    size = (mask.shape[1], mask.shape[2])
    surface = find_surface(pose, index, columns + 0.5, rows + 0.5, size)
    colors = np.zeros((len(index), 3), np.float32)
    left = np.arange(len(index))
    for source in sources:
        part = Surface(
            index[left], surface.offsets[:, left], surface.normals[:, left], surface.rays[:, left]
        )
        found_colors, found, _, _ = look_up(part, pose, seen, source)
        colors[left[found]] = found_colors[found]
        left = left[~found]
        if not len(left):
            return colors
    centers = pose.positions.T.astype(np.float32)[:, index]
    usual = paint(class_id, surface, centers)
    known = np.ones(len(index), bool)
    known[left] = False
    gain = np.ones(3)
    if known.any():
        gain = colors[known].mean(axis=0) / np.maximum(usual[known].mean(axis=0), 1)
    colors[left] = usual[left] * gain
    return colors
