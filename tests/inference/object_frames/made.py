"""Small generated videos whose objects move as a test says."""

from typing import NamedTuple

import numpy as np

from vps_d2.data.synthetic.render import render
from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.vps import class_id
from vps_d2.data.world import RADIUS, SIZES
from vps_d2.inference.object_frames.scene import SceneMotion


class Thing(NamedTuple):
    """An object: its kind, its places ``(T, 2)`` on the floor, and its yaws ``(T,)``."""

    shape: str
    material: str
    color: str
    places: np.ndarray
    yaws: np.ndarray

    @property
    def class_id(self) -> int:
        """Its class number."""
        return class_id(self.shape, self.material, self.color)


def thing(
    kind: str,
    start: tuple[float, float],
    end: tuple[float, float],
    turn: float = 0.0,
    count: int = 6,
) -> Thing:
    """Return an object of a kind such as "red metal cube" that moves evenly from start to end."""
    color, material, shape = kind.split()
    return Thing(
        shape, material, color, np.linspace(start, end, count), np.linspace(0.2, 0.2 + turn, count)
    )


def film(things: list[Thing], size: tuple[int, int] = (80, 120)) -> tuple[np.ndarray, np.ndarray]:
    """Return frames uint8 ``(T, H, W, 3)`` and masks uint8 ``(T, H, W)``."""
    bodies = tuple(
        Body(each.shape, each.material, each.color, SIZES[each.shape]) for each in things
    )
    count = len(things[0].places)
    ground = np.stack([each.places for each in things], axis=1)
    height = np.full((*ground.shape[:2], 1), RADIUS)
    half = np.stack([each.yaws for each in things], axis=1) / 2
    turns = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=-1)
    positions = np.concatenate([ground, height], axis=-1)
    nothing = np.zeros_like(positions)
    spins = np.zeros((count, len(things)))
    scene = Scene(0, bodies, positions, turns, nothing, np.ones(len(things)), spins)
    return render(scene, SyntheticOptions(*size))


def motion(things: list[Thing], masks: np.ndarray, frames: slice) -> SceneMotion:
    """Return the true motion of objects in some of their frames."""
    return SceneMotion(
        np.array([each.class_id for each in things]),
        np.stack([each.places[frames] for each in things]),
        np.stack([each.yaws[frames] for each in things]),
        masks[frames],
    )
