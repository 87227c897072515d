"""Clips of a picture with objects, which is moved and bent for each frame.

So a network can learn from data sets of pictures, as in the first stage of STCN (arXiv 2106.05210).
Unlike there, the motion is smooth, the objects also bend, and other things can pass in front.
"""

import cv2
import numpy as np

from vps_d2.data.vos.layers import Camera, Layer, Scene
from vps_d2.data.vos.library import Library
from vps_d2.data.vos.motion import Bend, Pose
from vps_d2.data.vos.scenes import Painter, SceneOptions, draw_film

_PERIODS = (20.0, 100.0)


def draw_still_scene(
    rng: np.random.Generator,
    options: SceneOptions,
    picture: np.ndarray,
    object_map: np.ndarray,
    min_crop: float = 0.5,
    library: Library | None = None,
) -> Scene:
    """Draw the scene of a picture, whose objects move with it.

    Args:
        rng: random numbers.
        options: the size of a frame, and most occluders; the rest is not used.
        picture: uint8 RGB ``(h, w, 3)``.
        object_map: of it, uint8 ``(h, w)``.
        min_crop: least share of the picture's shorter side that is shown.
        library: of things that pass in front; None for procedural ones.
    """
    picture, object_map = _shrink(picture, object_map, round(1.5 * min(options.size)))
    height, width = picture.shape[:2]
    side = min(options.size)
    factor = side / min(height, width) / rng.uniform(min_crop, 1.1)
    anchor = _anchor(rng, object_map)
    # The point of the picture that is in the middle of the frame at first: near an object.
    spread = 0.25 * side / factor
    middle = (anchor[0] + rng.normal(0, spread), anchor[1] + rng.normal(0, spread))
    low = 0.5 * side / factor
    middle = (
        float(np.clip(middle[0], min(low, width / 2), max(width - low, width / 2))),
        float(np.clip(middle[1], min(low, height / 2), max(height - low, height / 2))),
    )
    reach = (
        rng.uniform(0.02, 0.3) * side,
        rng.choice([5.0, 20.0, 45.0], p=[0.5, 0.35, 0.15]),
        rng.uniform(0, 0.35),
        rng.uniform(0, 0.2),
    )
    place = (options.size[1] / 2, options.size[0] / 2)
    flip = rng.random() < 0.5
    pose = Pose(rng, middle, place, factor, rng.normal(0, 6), flip, reach, _PERIODS)
    bend = None
    if rng.random() < 0.8:
        hinges, tips = _joints(rng, object_map)
        ripple = rng.uniform(0, 0.02) * max(height, width)
        bend = Bend(rng, (height, width), hinges, tips, rng.uniform(5, 35), ripple)
    layers = [Layer(picture, pose, bend, labels=object_map)]
    if rng.random() < 0.4:
        layers += Painter(rng, options, library or Library()).occluders()
    calm = Camera(rng, options.size, (0.0, 0.0, 0.0))
    return Scene(options.size, layers, calm, draw_film(rng), int(rng.integers(1 << 31)))


def _shrink(
    picture: np.ndarray, object_map: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Make a large picture smaller, so that moving it needs no smoothing."""
    height, width = picture.shape[:2]
    factor = side / min(height, width)
    if factor >= 1:
        return picture, object_map
    size = (round(width * factor), round(height * factor))
    return (
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA),
        cv2.resize(object_map, size, interpolation=cv2.INTER_NEAREST),
    )


def _anchor(rng: np.random.Generator, object_map: np.ndarray) -> tuple[float, float]:
    """Return a random point of an object; the middle of the picture if there is none."""
    rows, columns = np.nonzero(object_map[::4, ::4])
    if not len(rows):
        return object_map.shape[1] / 2, object_map.shape[0] / 2
    chosen = int(rng.integers(len(rows)))
    return 4.0 * float(columns[chosen]), 4.0 * float(rows[chosen])


def _joints(
    rng: np.random.Generator, object_map: np.ndarray, most: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Return joints, and the middles of what swings around them, most of them in objects."""
    tips = np.array([_anchor(rng, object_map) for _ in range(int(rng.integers(1, most + 1)))])
    reach = 0.12 * min(object_map.shape)
    angles = rng.uniform(0, 2 * np.pi, len(tips))
    hinges = tips + reach * np.stack([np.cos(angles), np.sin(angles)], -1)
    return hinges, tips
