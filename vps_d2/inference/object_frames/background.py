"""The empty scene behind the objects of a video, and the light that they leave on its floor.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns. Colors are RGB, 0-255.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vps_d2.data.synthetic.background import LAMPS, empty_floor, floor_light, floor_tint
from vps_d2.data.synthetic.materials import FLOOR_GRAY
from vps_d2.inference.object_frames.looks import usual_look
from vps_d2.inference.object_frames.scene import CAMERA, SceneMotion

_MARGIN = 2
"""Pixels around a mask, in a picture 240 wide, in which the object may still be seen."""
_SHADOW_MARGIN = 3
"""The same around a shadow, which may lie a little beside where it is computed."""
_REACH = (3.0, 12.0, 60.0)
"""Pixels, in a picture 240 wide, over which what is seen of the floor is carried on: first from
nearby, then from anywhere."""
_ENOUGH = 0.1
"""Share of known pixels among those nearby that suffices to fill the others."""
_UNUSABLE = np.uint16(999)
"""A color that is larger than any."""
_LIT = 0.97
"""Share of its light above which the floor counts as out of any shadow."""
_SAME_LIGHT = 0.04
"""Difference of shares of light at which a shadow is another one."""


def scene_light(motion: SceneMotion, size: tuple[int, int]) -> np.ndarray:
    """Return the light that objects leave to the floor, or give it, float32 ``(T, H, W, 3)``.

    Args:
        motion: of the objects.
        size: ``H`` and ``W``.

    Returns:
        factors of the floor's color in full light.
    """
    place = CAMERA, len(motion.masks), motion.poses()
    looks = [np.array(usual_look(each).color, np.float32) for each in motion.class_ids]
    tint = floor_tint(*place, [color / FLOOR_GRAY for color in looks], *size)
    return floor_light(*place, LAMPS, *size)[..., None] * tint


class Background(NamedTuple):
    """A scene without its objects.

    Attributes:
        floor: in full light, float32 ``(H, W, 3)``.
        shade: what is seen of it beyond ``floor`` times ``light``, float32 ``(H, W, 3)``: shadows
            that are not quite where they are computed.
        light: of :func:`scene_light` where that was seen, float32 ``(H, W, 3)``.
    """

    floor: np.ndarray
    shade: np.ndarray
    light: np.ndarray

    def draw(self, light: np.ndarray) -> np.ndarray:
        """Return the scene in the light of its frames, both float32 ``(T, H, W, 3)``."""
        # A shadow that stays is kept as it was seen; of one that is gone nothing remains.
        same = np.clip(1 - np.abs(light - self.light) / _SAME_LIGHT, 0, 1)
        return self.floor * light + self.shade * same


def find_background(frames: np.ndarray, masks: np.ndarray, light: np.ndarray) -> Background:
    """Find the empty scene.

    Each pixel is the median of what is seen of it in frames in which no object covers or shades
    it. What never is seen is taken from the empty scene of the data set, in the brightness of what
    is seen around it.

    Args:
        frames: uint8 ``(T, H, W, 3)``.
        masks: class maps uint8 ``(T, H, W)``.
        light: of :func:`scene_light`.
    """
    height, width = masks.shape[1:]
    scale = width / 240
    free = np.stack([cv2.dilate(mask, _disc(_MARGIN * scale)) for mask in masks]) == 0
    clear = (
        np.stack([cv2.erode(each, _disc(_SHADOW_MARGIN * scale)) for each in light.min(axis=3)])
        > _LIT
    )
    seen, lit = free.any(axis=0), (free & clear).any(axis=0)
    # Of what is shaded in every frame, only the shadow can be seen.
    usable = free & (clear | ~lit)
    usual = empty_floor(height, width)
    median, typical = _median(frames, light, usable)
    unusual = (median / np.maximum(typical, 0.1) - usual) * lit[..., None]
    floor = usual + _spread(unusual.astype(np.float32), lit, scale)
    shade = np.where(seen[..., None], median - floor * typical, 0)
    return Background(floor, shade.astype(np.float32), typical)


def _disc(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _median(
    frames: np.ndarray, light: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return median colors and mean light, both ``(H, W, 3)``, over usable frames."""
    values = np.where(usable[..., None], frames, _UNUSABLE)
    values.sort(axis=0)
    count = usable.sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(frames) - 1)
    chosen = [np.take_along_axis(values, each[None, ..., None], axis=0)[0] for each in (low, high)]
    mean = (light * usable[..., None]).sum(axis=0) / np.maximum(count, 1)[..., None]
    unseen = count[..., None] == 0
    return np.add(*chosen, dtype=np.float32) / 2, np.where(unseen, 1, mean).astype(np.float32)


def _spread(values: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """Fill what is unknown of values ``(H, W, 3)`` smoothly from what is known ``(H, W)``."""
    if known.all():
        return values
    # The unknown values are 0, and so is their weight.
    weighted = np.concatenate([values, known[..., None]], axis=-1, dtype=np.float32)
    filled = np.zeros_like(values)
    left = np.ones(known.shape, np.float32)
    for reach in _REACH:
        smooth = _blur(weighted, reach * scale)
        total = smooth[..., 3]
        share = left * np.clip(total / _ENOUGH, 0, 1)
        filled += smooth[..., :3] * (share / np.maximum(total, 1e-6))[..., None]
        left = left - share
    return np.where(known[..., None], values, filled)


def _blur(values: np.ndarray, deviation: float) -> np.ndarray:
    """Blur values ``(H, W, C)``; if by many pixels, in a smaller picture."""
    height, width = values.shape[:2]
    factor = int(np.clip(deviation / 2, 1, min(height, width) // 4))
    size = (-(-width // factor), -(-height // factor))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), deviation / factor)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
