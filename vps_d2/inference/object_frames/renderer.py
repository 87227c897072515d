"""Predicted frames as sharp as the input: objects' own pixels over the empty scene.

Shapes: ``K`` objects, ``T_in`` input and ``T`` predicted frames, ``H`` rows, ``W`` columns.
"""

from typing import NamedTuple

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

_SOFTNESS = 1.2
"""Standard deviation, in pixels, with which masks are blurred for soft edges."""
_SHARPNESS = 1.8
"""Factor by which these are made steeper again."""
_FAINT = 0.02
"""Share of a pixel that does not count as filled."""
_GAINS = (0.5, 2.0)
"""Range of the brightness of what is painted, compared with the data set's usual one."""
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
    background = find_background(frames, known.masks, scene_light(known, size))
    picture = background.draw(scene_light(future, size))
    covered = np.zeros(picture.shape[:3], np.float32)
    painted = np.zeros_like(picture)
    for number, class_id in enumerate(known.class_ids):
        pixels = _find_pixels((future.masks == class_id).view(np.uint8))
        if pixels is None:
            continue
        sources = _find_sources(frames, known, sights, number)
        colors = _colors(int(class_id), after[number], before[number], sources, pixels, size)
        where = pixels.frame_index, pixels.rows, pixels.columns
        painted[where] += pixels.shares[:, None] * colors
        covered[where] += pixels.shares
    # Edges of objects that touch may fill a pixel more than once.
    whole = np.maximum(covered, 1)
    picture = picture * (1 - covered / whole)[..., None] + painted / whole[..., None]
    return np.asarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))


class _Pixels(NamedTuple):
    """Pixels that an object fills, wholly or in part.

    Attributes:
        frame_index: ``(n,)``.
        rows: ``(n,)``.
        columns: ``(n,)``.
        shares: of the pixel that the object fills, 0-1, ``(n,)``; above a half inside its mask.
    """

    frame_index: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    shares: np.ndarray


def _find_pixels(masks: np.ndarray) -> _Pixels | None:
    """Return the pixels that an object fills by its masks, uint8 0 or 1 ``(T, H, W)``.

    Edges are as soft as those of pictures, and corners of single pixels are rounded off.
    """
    height, width = masks.shape[1:]
    found = []
    for index, mask in enumerate(masks):
        x, y, across, down = cv2.boundingRect(mask)
        if not across:
            continue
        left, top = max(0, x - 2), max(0, y - 2)
        right, bottom = min(width, x + across + 2), min(height, y + down + 2)
        part = mask[top:bottom, left:right].astype(np.float32)
        soft = cv2.GaussianBlur(part, (5, 5), _SOFTNESS, borderType=cv2.BORDER_REPLICATE)
        share = np.clip((soft - 0.5) * _SHARPNESS + 0.5, 0, 1)
        rows, columns = np.nonzero(share > _FAINT)
        frame = np.full(len(rows), index)
        found.append((frame, rows + top, columns + left, share[rows, columns]))
    # Of an object that barely comes in, one pixel may be seen, of which hardly anything is filled.
    if not any(len(frame) for frame, *_ in found):
        return None
    return _Pixels(*map(np.concatenate, zip(*found, strict=True)))


def _find_sources(
    frames: np.ndarray, known: SceneMotion, sights: Sights, number: int
) -> list[Source]:
    """Return the input frames to take an object's pixels from, the best one first."""
    areas, shares = sights.areas[number], sights.shares[number]
    usable = np.flatnonzero(shares > 0)
    if not len(usable):
        return []
    age = len(frames) - 1 - usable
    # Small differences of shares are noise. A later frame shows the object in a later light.
    worth = np.minimum(shares[usable], 0.93) + 0.1 * np.log(areas[usable]) - 0.02 * age
    best = usable[np.argsort(-worth, kind="stable")[:_SOURCES]]
    class_id = known.class_ids[number]
    masks = (known.masks[best] == class_id).view(np.uint8)
    return [make_source(int(t), frames[t], mask) for t, mask in zip(best, masks, strict=True)]


def _colors(
    class_id: int,
    pose: Pose,
    seen: Pose,
    sources: list[Source],
    pixels: _Pixels,
    size: tuple[int, int],
) -> np.ndarray:
    """Return the colors, float32 ``(n, 3)``, of an object in pixels of the predicted frames."""
    index = pixels.frame_index
    surface = find_surface(pose, index, pixels.columns + 0.5, pixels.rows + 0.5, size)
    colors = np.zeros((len(index), 3), np.float32)
    left = np.arange(len(index))
    for source in sources:
        part = Surface(
            index[left], surface.offsets[:, left], surface.normals[:, left], surface.rays[:, left]
        )
        found_colors, found = look_up(part, pose, seen, source)
        colors[left[found]] = found_colors[found]
        left = left[~found]
        if not len(left):
            return colors
    # What no input frame shows is painted as the data set paints it, as bright as the rest is.
    usual = paint(class_id, surface, pose.positions.T.astype(np.float32)[:, index])
    shown = np.ones(len(index), bool)
    shown[left] = False
    gain = np.ones(3)
    if shown.any():
        gain = colors[shown].mean(axis=0) / np.maximum(usual[shown].mean(axis=0), 1)
    colors[left] = usual[left] * np.clip(gain, *_GAINS)
    return colors
