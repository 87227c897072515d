"""What an engine of physics is given, and what it returns; in CLEVRER's units and seconds.

Frames T, objects N. z up, the floor at z = 0; :mod:`vps_d2.data.world` says what a unit is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vps_d2.data.world import (
    CONTACT_RADIUS,
    DAMPING,
    FRICTION_COEFFICIENT,
    METERS_PER_UNIT,
    RADIUS,
    RESTITUTION,
    SPIN_FRICTION,
)

__all__ = ["HALF_SIZE", "REACH", "Law", "Motion", "Start"]

HALF_SIZE = RADIUS / METERS_PER_UNIT
"""Half the edge of cubes; radius and half the height of cylinders; the height of all centers."""
REACH = CONTACT_RADIUS / METERS_PER_UNIT
"""Radius of spheres, with the margin that Bullet adds to other shapes."""


@dataclass(frozen=True)
class Law:
    """How objects slow down and bounce.

    Args:
        friction: coefficient between the floor and cubes or cylinders; spheres have none.
        spin_friction: torque of the floor on spinning cubes and cylinders, over their weight.
        damping: share of every velocity that is lost per second, and as much times the speed.
        restitution: of each object; that of two which collide is the product of theirs.
    """

    friction: float = FRICTION_COEFFICIENT
    spin_friction: float = SPIN_FRICTION
    damping: float = DAMPING
    restitution: float = RESTITUTION


class Motion(NamedTuple):
    """Where objects are and how they move.

    ``positions`` of their centers, float64 (T, N, 3); ``quaternions`` (w, x, y, z), (T, N, 4), in
    which the axis of a cylinder is its own z; ``velocities`` and ``spins`` around the axes of the
    world in radians per second, (T, N, 3).
    """

    positions: np.ndarray
    quaternions: np.ndarray
    velocities: np.ndarray
    spins: np.ndarray


@dataclass(frozen=True)
class Start:
    """The objects in the first frame.

    Args:
        shapes: of the N objects: cube, sphere or cylinder.
        masses: relative to each other, float64 (N,).
        positions: float64 (N, 3).
        quaternions: (w, x, y, z), float64 (N, 4).
        velocities: float64 (N, 3).
        spins: radians per second around the axes of the world, float64 (N, 3).
    """

    shapes: tuple[str, ...]
    masses: np.ndarray
    positions: np.ndarray
    quaternions: np.ndarray
    velocities: np.ndarray
    spins: np.ndarray
