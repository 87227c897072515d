"""The empty floor of the real videos, the lamps above it, and the shadows of objects on it."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vps_d2.data.synthetic.geometry import Pose, distance_to_ray
from vps_d2.data.world import Camera

__all__ = ["LAMPS", "Lamp", "empty_floor", "floor_light", "floor_tint", "jittered_lamps"]

_DEGREE = 5
_COEFFICIENTS = (
    (129.6, 129.2, 130.0),
    (10.9, 10.1, 9.3),
    (-7.3, -6.1, -7.1),
    (-3.1, 2.1, -1.1),
    (3.5, 1.7, 0.5),
    (3.9, -1.4, 1.1),
    (-4.0, -3.6, -7.4),
    (19.3, 20.2, 26.1),
    (3.7, 1.1, 5.2),
    (-19.9, -21.3, -25.4),
    (-4.9, -0.5, -3.8),
    (5.7, 7.2, 11.4),
    (-11.4, -14.0, -17.5),
    (-7.4, -8.2, -11.1),
    (10.6, 12.6, 14.3),
    (-4.2, -5.5, -3.7),
    (-6.3, -6.1, -9.1),
    (9.2, 9.1, 11.6),
    (-6.2, -7.1, -9.7),
    (8.0, 9.2, 12.2),
    (2.3, 3.1, 2.5),
)
"""RGB, 0-255, of the terms of ``empty_floor``: fitted to the median over the real videos."""
_SHADOW_STEP = 2
"""Pixels of the picture for one of the shadows' in each direction; they are soft."""

_TINT = 0.33
"""Share of the floor's light that comes from all of the room, measured beside objects."""
_ROOM = 0.56
"""Brightness of the room that objects hide, relative to that of the floor."""
_DARK_BELOW = 0.5
"""How much darker an object is where it is seen from right below it."""
_CONTACT = 0.4
"""Share of all light that is missing right below a sphere."""
_TINT_SIZE = {"cube": 1.7, "sphere": 1.0, "cylinder": 1.7}
"""How much of the room objects hide, relative to a sphere."""
_TINT_REACH = 1.8
"""Meters from an object within which it tints the floor."""


@dataclass(frozen=True)
class Lamp:
    """A lamp over the floor.

    Args:
        position: (x, y, z) in meters.
        share: of the light on the floor that it gives.
        radius: in meters; how soft its shadows are.
        glare: strength of its mirror image, in units of the floor's brightness.
        haze: strength of the bright haze around that.
    """

    position: tuple[float, float, float]
    share: float
    radius: float
    glare: float
    haze: float


LAMPS = (
    Lamp((5.1, 10.7, 10.1), 0.115, 0.77, glare=2.9, haze=0.24),
    Lamp((-5.9, -4.4, 8.3), 0.1, 0.41, glare=2.7, haze=0.46),
    Lamp((-7.5, 17.4, 5.3), 0.022, 0.37, glare=1.5, haze=0.12),
    Lamp((-19.5, -32.3, 85.6), 0.21, 5.1, glare=4.0, haze=0.4),
)
"""Positions, shares and radii are fitted to shadows in footage of CLEVRER, of objects whose true
places are known, the rest to metal balls."""


def empty_floor(height: int, width: int) -> np.ndarray:
    """Return the picture without objects, float32 (H, W, 3), 0-255."""
    x = np.linspace(-1, 1, 2 * width + 1)[1::2]
    depth = np.linspace(0, 1, 2 * height + 1)[1::2]
    y = 1 - 2 * np.exp(-4 * depth)[:, None]
    powers = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    terms = np.stack([x**i * y**j for i, j in powers], axis=-1)
    return (terms @ np.array(_COEFFICIENTS)).astype(np.float32)


def jittered_lamps(jitter: float, rng: np.random.Generator) -> tuple[Lamp, ...]:
    """Return lamps moved, brightened or dimmed, and resized at random; 1 is strong."""
    lamps = []
    for lamp in LAMPS:
        move = jitter * rng.uniform(-1, 1, 3) * (2.0, 2.0, 1.0)
        strength, size = np.exp(jitter * rng.uniform(-0.7, 0.7, 2))
        x, y, z = (np.array(lamp.position) + move).tolist()
        lamps.append(
            replace(
                lamp,
                position=(x, y, z),
                share=float(lamp.share * strength),
                radius=float(lamp.radius * size),
            )
        )
    return tuple(lamps)


def floor_light(
    camera: Camera,
    num_frames: int,
    poses: list[Pose],
    lamps: tuple[Lamp, ...],
    height: int,
    width: int,
) -> np.ndarray:
    """Return the share of its light that the floor keeps beside objects, float32 (T, H, W)."""
    rows, columns = -(-height // _SHADOW_STEP), -(-width // _SHADOW_STEP)
    points = _floor_points(camera, rows, columns, height, width)
    lit = np.ones((len(lamps), num_frames, rows, columns), np.float32)
    for pose in poses:
        for lamp, light in zip(lamps, lit, strict=True):
            _cast_shadow(light, camera, pose, lamp, points, (height, width))
    total = np.ones((num_frames, rows, columns), np.float32)
    for lamp, light in zip(lamps, lit, strict=True):
        total -= _lamp_share(lamp, points) * (1 - light)
    size = (columns * _SHADOW_STEP, rows * _SHADOW_STEP)
    full = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in total]
    return np.stack(full)[:, :height, :width]


def floor_tint(
    camera: Camera,
    num_frames: int,
    poses: list[Pose],
    colors: list[np.ndarray],
    height: int,
    width: int,
) -> np.ndarray:
    """Return factors of the floor's color near objects, float32 (T, H, W, 3).

    From the floor, an object hides a part of the room, and shows its own color there.

    Args:
        camera: that sees it.
        num_frames: T.
        poses: of the objects.
        colors: of the objects, relative to the floor's brightness, (3,) each.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
    """
    rows, columns = -(-height // _SHADOW_STEP), -(-width // _SHADOW_STEP)
    points = _floor_points(camera, rows, columns, height, width)
    tint = np.ones((num_frames, rows, columns, 3), np.float32)
    for pose, color in zip(poses, colors, strict=True):
        for frame_index, (x, y, z) in enumerate(pose.positions):
            near = (np.abs(points[0] - x) < _TINT_REACH) & (np.abs(points[1] - y) < _TINT_REACH)
            squared = (points[0, near] - x) ** 2 + (points[1, near] - y) ** 2
            # The part of the room that a sphere hides, weighted by the cosine with the vertical.
            sphere = (z * z / (squared + z * z))[:, None] ** 1.5
            hidden = np.minimum(_TINT_SIZE[pose.shape] * sphere, 1)
            shown = color * (1 - _DARK_BELOW * hidden**2) - _ROOM
            tint[frame_index, near] += _TINT * hidden * shown - _CONTACT * sphere**5
    size = (columns * _SHADOW_STEP, rows * _SHADOW_STEP)
    full = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in tint]
    return np.maximum(np.stack(full)[:, :height, :width], 0)


def _floor_points(camera: Camera, rows: int, columns: int, height: int, width: int) -> np.ndarray:
    """Return the places on the floor that the shadows' pixels show, float32 (3, rows, columns)."""
    y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    rays = camera.rays(x * _SHADOW_STEP, y * _SHADOW_STEP, height, width)
    distance = -camera.position[2] / np.minimum(rays[..., 2], -1e-3)
    points = np.array(camera.position) + distance[..., None] * rays
    return np.moveaxis(points, -1, 0).astype(np.float32)


def _lamp_share(lamp: Lamp, points: np.ndarray) -> np.ndarray:
    """Return the share of the floor's light that is a lamp's, by its cosine and distance."""
    x, y, z = lamp.position
    squared = (points[0] - x) ** 2 + (points[1] - y) ** 2 + z * z
    reference = x**2 + (8.0 - y) ** 2 + z * z
    return np.asarray(np.minimum(lamp.share * (reference / squared) ** 1.5, 0.6))


def _cast_shadow(
    light: np.ndarray,
    camera: Camera,
    pose: Pose,
    lamp: Lamp,
    points: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Take an object's shadow from a lamp's light (T, rows, columns), in place."""
    windows = _shadow_windows(light.shape[1:], camera, pose, lamp, size)
    last: tuple[int, np.ndarray] | None = None
    for frame_index, window in enumerate(windows):
        if window is None:
            continue
        rows, columns = slice(window[0], window[1]), slice(window[2], window[3])
        if last is not None and window == windows[last[0]] and pose.same(frame_index, last[0]):
            light[frame_index, rows, columns] *= last[1]
            continue
        floor = points[:, rows, columns]
        gap, along = distance_to_ray(pose, frame_index, floor, np.array(lamp.position, np.float32))
        # The penumbra is as wide as the lamp, seen through the object's place on the way.
        blur = lamp.radius * along + 0.03
        clear = np.clip(gap / blur * 0.5 + 0.5, 0, 1)
        kept = clear * clear * (3 - 2 * clear)
        light[frame_index, rows, columns] *= kept
        last = (frame_index, kept)


def _shadow_windows(
    grid: tuple[int, ...], camera: Camera, pose: Pose, lamp: Lamp, size: tuple[int, int]
) -> list[tuple[int, int, int, int] | None]:
    """Return for every frame the rows and columns of the grid that a shadow can darken."""
    center = pose.positions
    radius = pose.radius
    to_lamp = np.array(lamp.position) - center
    top = center[:, 2] + radius
    reach = np.clip(top / np.maximum(lamp.position[2] - top, 0.1), 0, 3)[:, None]
    tips = center - reach * to_lamp
    margin = radius + lamp.radius * reach / (1 + reach)
    spread = np.array([(-1, -1, 0), (-1, 1, 0), (1, -1, 0), (1, 1, 0)])
    corners = np.stack([center, tips])[:, None] + margin * spread[:, None]
    corners[..., 2] = 0
    seen = camera.project(corners.reshape(8, -1, 3), *size) / (_SHADOW_STEP, _SHADOW_STEP, 1)
    windows: list[tuple[int, int, int, int] | None] = []
    for frame_index in range(len(center)):
        place = seen[:, frame_index]
        place = place[place[:, 2] > 0.3]
        if not len(place):
            windows.append(None)
            continue
        low, high = place.min(axis=0), place.max(axis=0)
        r0, r1 = (int(np.clip(v, 0, grid[0])) for v in (low[1] - 1, high[1] + 2))
        c0, c1 = (int(np.clip(v, 0, grid[1])) for v in (low[0] - 1, high[0] + 2))
        windows.append((r0, r1, c0, c1) if r0 < r1 and c0 < c1 else None)
    return windows
