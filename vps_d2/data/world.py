"""The world of the vps data sets, which is CLEVRER's: its camera, its sizes and its law of motion.

Meters, z up, the floor at z = 0, the camera above the origin looking along +y and down. CLEVRER's
scenes were simulated by Bullet, in units and seconds of its own, and the course took every sixth
frame. All figures were measured on scenes of CLEVRER whose true states are public.
"""

from dataclasses import dataclass

import numpy as np

METERS_PER_UNIT = 1.986
"""Meters of this project in one of CLEVRER's units: objects are 0.4 units high and wide."""
FRAME_SECONDS = 0.24
"""Between two frames of the videos."""
STEP_SECONDS = 0.004
"""Between two steps of the simulation, in its own seconds."""
STEPS_PER_FRAME = 6 * 7
"""Between two frames of the videos: six of CLEVRER's frames, of seven steps each."""
SIMULATED_SECONDS = STEPS_PER_FRAME * STEP_SECONDS
"""Between two frames of the videos, in seconds of the simulation."""

SPEED_UNIT = METERS_PER_UNIT * SIMULATED_SECONDS / FRAME_SECONDS
"""Meters a second of this project in one unit of speed of the simulation."""
_TIME = SIMULATED_SECONDS / FRAME_SECONDS

GRAVITY = 9.8
"""Of the simulation, units per second squared, in its own seconds."""
FRICTION_COEFFICIENT = 0.03
"""Of cubes and cylinders with the floor; spheres have none."""
SPIN_FRICTION = 0.0075
"""Torque by which the floor brakes the spin of cubes and cylinders, over their weight; units."""
DAMPING = 0.04
"""What Bullet takes from every velocity: this share per second, and as much times the speed."""
RESTITUTION = 0.8
"""Of each object; the product of two is the share of the speed at which they separate again."""

RADIUS = 0.2 * METERS_PER_UNIT
"""Of spheres and cylinders; half the edge of cubes, and half the height of all. Meters."""
CONTACT_RADIUS = 0.2008 * METERS_PER_UNIT
"""From the center of an object to where others touch it: Bullet adds a margin. Meters."""
FRICTION = {
    "cube": FRICTION_COEFFICIENT * GRAVITY * SPEED_UNIT * _TIME,
    "sphere": 0.0,
    "cylinder": FRICTION_COEFFICIENT * GRAVITY * SPEED_UNIT * _TIME,
}
"""Deceleration while an object slides, meters a second squared; spheres slide without any."""
LINEAR_DRAG = DAMPING * _TIME
"""Deceleration by drag, over the speed; per second."""
QUADRATIC_DRAG = DAMPING * _TIME / SPEED_UNIT
"""Deceleration by drag, over the square of the speed; per meter."""
START_SPEEDS = (2.7 * SPEED_UNIT, 3.0 * SPEED_UNIT)
"""Range of the speed of what moves in the first frame, meters a second."""
LOG_MASS_DEVIATION = 0.21
"""Standard deviation of the logarithm of the masses, which cannot be seen."""

SIZES: dict[str, tuple[float, float, float]] = {
    "cube": (0.191 * METERS_PER_UNIT,) * 3,
    "sphere": (0.198 * METERS_PER_UNIT,) * 3,
    "cylinder": (0.197 * METERS_PER_UNIT, 0.197 * METERS_PER_UNIT, 0.194 * METERS_PER_UNIT),
}
"""Half extents (x, y, z) in meters, as pictures show them: a cube's edges are rounded. A cylinder's
are its radius twice and half its height. All centers are RADIUS above the floor."""
MASK_SIZES: dict[str, tuple[float, float, float]] = {
    "cube": (0.193 * METERS_PER_UNIT,) * 3,
    "sphere": (0.204 * METERS_PER_UNIT,) * 3,
    "cylinder": (0.205 * METERS_PER_UNIT, 0.205 * METERS_PER_UNIT, 0.1945 * METERS_PER_UNIT),
}
"""The same as masks show them, which people and segmenters draw a little larger."""
MASK_HEIGHTS = {
    "cube": 0.196 * METERS_PER_UNIT,
    "sphere": 0.1945 * METERS_PER_UNIT,
    "cylinder": 0.2 * METERS_PER_UNIT,
}
"""Meters above the floor at which the centers of these lie: shadows pull masks down."""

FOCAL_LENGTH = 1.098
"""Of the camera, in picture widths."""
_HEIGHT = 2.512 * METERS_PER_UNIT
_PITCH = np.radians(30.04)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a floor; by default that of the real videos.

    Args:
        position: (x, y, z) in meters.
        pitch: downwards, in radians.
        yaw: to the right, in radians.
        focal_length: in picture widths.
    """

    position: tuple[float, float, float] = (0.0, 0.0, _HEIGHT)
    pitch: float = _PITCH
    yaw: float = 0.0
    focal_length: float = FOCAL_LENGTH

    def axes(self) -> np.ndarray:
        """Return the picture's right, down and forward in the world, float64 (3, 3), in rows."""
        forward = np.array(
            [
                np.sin(self.yaw) * np.cos(self.pitch),
                np.cos(self.yaw) * np.cos(self.pitch),
                -np.sin(self.pitch),
            ]
        )
        right = np.array([np.cos(self.yaw), -np.sin(self.yaw), 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def rays(self, columns: np.ndarray, rows: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return unit directions, float64 (..., 3), through points of a picture.

        Args:
            columns: of the points, in pixels; the center of the first pixel is 0.5.
            rows: the same downwards.
            height: of the picture, in pixels.
            width: of the picture, in pixels.
        """
        focal = self.focal_length * width
        x = (np.asarray(columns) - width / 2) / focal
        y = (np.asarray(rows) - height / 2) / focal
        directions = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.axes()
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def project(self, points: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return where points (..., 3) are seen: column, row in pixels, depth in meters."""
        local = (np.asarray(points, dtype=np.float64) - self.position) @ self.axes().T
        depth = np.where(np.abs(local[..., 2]) < 1e-9, 1e-9, local[..., 2])
        focal = self.focal_length * width
        column = width / 2 + focal * local[..., 0] / depth
        row = height / 2 + focal * local[..., 1] / depth
        return np.stack([column, row, depth], axis=-1)
