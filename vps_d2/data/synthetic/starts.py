"""What objects there are in a generated video, and how they start.

About half of the objects rest on a stage in the middle of the picture. The others come from all
sides: one from near by, aimed at an object that rests, the rest from farther away, so that they
arrive later. The figures are those of scenes of CLEVRER, and of how many objects are seen in the
frames of the real videos.
"""

import math

import numpy as np

from vps_d2.data.synthetic.law import Start
from vps_d2.data.synthetic.scene import Body
from vps_d2.data.vps import CLASS_NAMES, class_parts
from vps_d2.data.world import (
    LOG_MASS_DEVIATION,
    METERS_PER_UNIT,
    RADIUS,
    SIZES,
    SPEED_UNIT,
    START_SPEEDS,
)

__all__ = ["draw_bodies", "draw_start"]

_NUM_BODIES = {3: 0.02, 4: 0.2, 5: 0.5, 6: 0.28}
_SHARE_AT_REST = 0.5
"""Of the objects but two: at least one rests, and one moves."""
_CENTER = (0.0, 4.347)
"""Of CLEVRER's world, in its units, from below the camera."""
_STAGE_HALF_SIZE = (1.5, 1.7)
_STAGE_CENTER = (0.0, 4.9)
"""The rectangle on the floor where objects rest; all lengths here are in CLEVRER's units."""
_CLEARANCE = 0.55
"""Least distance between the centers of two objects at the start."""
_NEAR_START, _FAR_START = (3.1, 3.8), (5.5, 9.6)
"""Distance from the center of the world where moving objects start: the first, and the others."""
_SHARE_NEAR = 0.15
"""Of the others, those that start as near as the first."""
_SHARE_AT_OBJECT = 0.5
"""Of the others, those that are aimed at one that rests, as the first always is."""
_AIM_ERROR = 0.25


def draw_bodies(rng: np.random.Generator) -> tuple[Body, ...]:
    """Return objects of different classes."""
    count = rng.choice(list(_NUM_BODIES), p=list(_NUM_BODIES.values()))
    numbers = rng.choice(len(CLASS_NAMES) - 1, count, replace=False)
    bodies = []
    for number in numbers:
        shape, material, color = class_parts(number + 1)
        bodies.append(Body(shape, material, color, SIZES[shape]))
    return tuple(bodies)


def draw_start(rng: np.random.Generator, bodies: tuple[Body, ...]) -> Start:
    """Return where bodies start and how they move, at any yaw and of any mass."""
    count = len(bodies)
    places, velocities = _draw_paths(rng, count)
    half_yaws = rng.uniform(0, math.pi, count)
    level = np.zeros((count, 2))
    heights = np.full(count, RADIUS / METERS_PER_UNIT)
    return Start(
        shapes=tuple(body.shape for body in bodies),
        masses=np.exp(rng.normal(0, LOG_MASS_DEVIATION, count)),
        positions=np.column_stack([places, heights]),
        quaternions=np.column_stack([np.cos(half_yaws), level, np.sin(half_yaws)]),
        velocities=np.column_stack([velocities, np.zeros(count)]),
        spins=np.zeros((count, 3)),
    )


def _draw_paths(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where objects start, (N, 2), and their velocities, (N, 2)."""
    at_rest = 1 + rng.binomial(count - 2, _SHARE_AT_REST)
    places = np.zeros((count, 2))
    velocities = np.zeros((count, 2))
    for index in range(count):
        while True:
            rests, is_first = index < at_rest, index == at_rest
            place = _draw_on_stage(rng) if rests else _draw_far_out(rng, is_first)
            gaps = np.linalg.norm(places[:index] - place, axis=1)
            if not len(gaps) or gaps.min() >= _CLEARANCE:
                break
        places[index] = place
        if not rests:
            aim = _draw_aim(rng, places[:at_rest], is_first) - place
            speed = rng.uniform(*START_SPEEDS) / SPEED_UNIT
            velocities[index] = speed * aim / np.linalg.norm(aim)
    return places, velocities


def _draw_on_stage(rng: np.random.Generator) -> np.ndarray:
    return _STAGE_CENTER + rng.uniform(-1, 1, 2) * _STAGE_HALF_SIZE


def _draw_far_out(rng: np.random.Generator, is_first: bool) -> np.ndarray:
    """Return where a moving object starts, (2,)."""
    is_near = is_first or rng.random() < _SHARE_NEAR
    distance = rng.uniform(*(_NEAR_START if is_near else _FAR_START))
    angle = rng.uniform(0, 2 * math.pi)
    return _CENTER + distance * np.array([math.cos(angle), math.sin(angle)])


def _draw_aim(rng: np.random.Generator, resting: np.ndarray, is_first: bool) -> np.ndarray:
    """Return a place, (2,), that an object moves to: at, or nearly at, one that rests, or any."""
    if is_first or rng.random() < _SHARE_AT_OBJECT:
        return np.asarray(resting[rng.integers(len(resting))] + rng.uniform(-1, 1, 2) * _AIM_ERROR)
    return _draw_on_stage(rng)
