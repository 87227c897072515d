"""Short clips of random scenes, made in memory while a network trains."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vps_d2.data.vos.layers import Scene

_LEAST_AREA = 0.003
_TRIES = 20


class Clip(NamedTuple):
    """Frames of a video or a scene.

    Attributes:
        frames: uint8 RGB ``(T, H, W, 3)``.
        object_maps: uint8 ``(T, H, W)``.
        indices: of the frames in the video, ``T`` of them.
    """

    frames: np.ndarray
    object_maps: np.ndarray
    indices: Sequence[int]


def make_clip(
    rng: np.random.Generator,
    num_frames: int,
    draw: Callable[[], Scene],
    max_objects: int = 3,
    max_gap: int = 10,
    far: tuple[float, int, int] = (0.0, 5, 40),
) -> Clip:
    """Make a clip of a random scene, whose first frame shows at least one object.

    Args:
        rng: random numbers.
        num_frames: ``T``.
        draw: returns a random scene; called again if no object is seen, but not for ever.
        max_objects: number of objects of which no more are kept.
        max_gap: most frames from one frame of the clip to the next.
        far: how often the first of these steps is a long one, and its least and most frames.
    """
    for _ in range(_TRIES):
        scene = draw()
        first = scene.render(0)
        if visible(first[1]):
            break
    gaps = rng.integers(1, max_gap + 1, num_frames - 1)
    share, least, most = far
    if share and rng.random() < share:
        gaps[:1] = rng.integers(least, most + 1)
    times = np.cumsum(gaps).tolist()
    rendered = [first, *(scene.render(time) for time in times)]
    frames, maps = (np.stack(parts) for parts in zip(*rendered, strict=True))
    kept = choose(rng, visible(maps[0]), max_objects)
    return Clip(frames, renumber(maps, kept), [0, *times])


def choose(rng: np.random.Generator, numbers: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the numbers, at random and in random order."""
    chosen: list[int] = rng.permutation(list(numbers))[:most].astype(int).tolist()
    return chosen


def visible(object_map: np.ndarray, least_area: float = _LEAST_AREA) -> list[int]:
    """Return the numbers of the objects of which enough is seen, in ascending order.

    Args:
        object_map: uint8 ``(H, W)``.
        least_area: share of the map that an object must have.
    """
    areas = np.bincount(object_map.ravel(), minlength=2)
    seen: list[int] = (np.flatnonzero(areas[1:] >= least_area * object_map.size) + 1).tolist()
    return seen


def renumber(maps: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Number some objects from 1 on in the order given; the others become background.

    Args:
        maps: uint8 of any shape.
        kept: their numbers.
    """
    table = np.zeros(256, np.uint8)
    table[list(kept)] = np.arange(1, len(kept) + 1)
    renumbered: np.ndarray = table[maps]
    return renumbered
