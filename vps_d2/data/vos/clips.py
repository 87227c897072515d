"""Short clips of random scenes, made in memory while a network trains."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vps_d2.data.vos.layers import Scene
from vps_d2.data.vos.library import Library
from vps_d2.data.vos.scenes import SceneOptions, draw_scene

_LEAST_AREA = 0.003
_TRIES = 20


class Clip(NamedTuple):
    """Frames uint8 RGB ``(T, H, W, 3)`` and their object maps uint8 ``(T, H, W)``."""

    frames: np.ndarray
    object_maps: np.ndarray


def make_clip(
    rng: np.random.Generator,
    num_frames: int,
    options: SceneOptions,
    library: Library | None = None,
    max_gap: int = 10,
) -> Clip:
    """Make a clip of a random scene, whose first frame shows at least one object.

    Args:
        rng: random numbers.
        num_frames: ``T``.
        options: of the scene.
        library: pictures and cut-outs to use besides procedural ones.
        max_gap: most frames from one frame of the clip to the next.

    Raises:
        FaultError: if a file of the library cannot be read.
    """
    for _ in range(_TRIES):
        scene = draw_scene(rng, options, library)
        first = scene.render(0)
        if visible(first[1]):
            break
    gaps = rng.integers(1, max_gap + 1, num_frames - 1)
    return film(scene, np.cumsum(gaps).tolist(), first)


def film(scene: Scene, times: Sequence[float], first: tuple[np.ndarray, np.ndarray]) -> Clip:
    """Render a scene at some times after its first frame, and number its objects anew."""
    rendered = [first, *(scene.render(time) for time in times)]
    frames, maps = (np.stack(parts) for parts in zip(*rendered, strict=True))
    return Clip(frames, renumber(maps, visible(maps[0])))


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
