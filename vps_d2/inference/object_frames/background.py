"""The empty scene behind the objects of a video, and the light that they leave on its floor."""

import cv2
import numpy as np

from vps_d2.data.synthetic.background import LAMPS, empty_floor, floor_light
from vps_d2.data.synthetic.geometry import Pose
from vps_d2.data.synthetic.scene import Scene
from vps_d2.inference.object_frames.scene import CAMERA

_MARGIN = 2
"""Pixels around a mask, in a picture 240 wide, in which the object may still be seen."""
_REACH = (6.0, 40.0)
"""Pixels, in a picture 240 wide, over which what is seen of the floor is carried on: first from
nearby, then from anywhere."""


def scene_light(poses: list[Pose], num_frames: int, size: tuple[int, int]) -> np.ndarray:
    """Return the share of its light that the floor keeps beside objects, float32 ``(T, H, W)``.

    Args:
        poses: of all objects.
        num_frames: ``T``.
        size: ``H`` and ``W``.
    """
    empty = np.zeros((num_frames, 0, 3))
    scene = Scene(0, (), empty, np.zeros((num_frames, 0, 4)), empty, CAMERA)
    return floor_light(scene, poses, LAMPS, *size)


def find_background(frames: np.ndarray, masks: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return the empty scene in full light, float32 ``(H, W, 3)``, 0-255.

    Each pixel is the median of what is seen of it in frames in which no object covers it. What is
    always covered is taken from the empty scene of the data set, in the brightness of what is seen
    around it.

    Args:
        frames: uint8 ``(T, H, W, 3)``.
        masks: class maps uint8 ``(T, H, W)``.
        light: of :func:`scene_light`.
    """
    height, width = masks.shape[1:]
    scale = width / 240
    reach = 2 * max(1, round(_MARGIN * scale)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    covered = np.stack([cv2.dilate(mask, kernel) for mask in masks]) > 0
    lit = frames / light[..., None]
    lit[covered] = np.inf
    lit.sort(axis=0)
    count = len(frames) - covered.sum(axis=0)
    middle = np.maximum(count - 1, 0) // 2
    seen = np.take_along_axis(lit, middle[None, ..., None], axis=0)[0]
    upper = np.take_along_axis(lit, np.minimum(count // 2, len(frames) - 1)[None, ..., None], 0)[0]
    known = count > 0
    usual = empty_floor(height, width)
    unusual = np.where(known[..., None], (seen + upper) / 2 - usual, 0).astype(np.float32)
    return usual + _spread(unusual, known, scale)


def _spread(values: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """Fill what is unknown of values ``(H, W, 3)`` smoothly from what is known ``(H, W)``."""
    if known.all():
        return values
    weight = known.astype(np.float32)
    filled = np.zeros_like(values)
    left = np.ones_like(weight)
    for reach in _REACH:
        total = cv2.GaussianBlur(weight, (0, 0), reach * scale)
        smooth = cv2.GaussianBlur(values * weight[..., None], (0, 0), reach * scale)
        share = left * np.clip(total / 0.05, 0, 1)
        filled += smooth * (share / np.maximum(total, 1e-6))[..., None]
        left = left - share
    return np.where(known[..., None], values, filled)
