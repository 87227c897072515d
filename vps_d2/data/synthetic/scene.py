"""The contents of a generated video: objects on a floor, their motion, and the camera.

World: meters and seconds, z up, the floor at z = 0, the camera above the origin looking along +y.
Frames T, objects N, rows H, columns W.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vps_d2.data.vps import CLASS_NAMES, class_id
from vps_d2.data.world import Camera

__all__ = ["Body", "Scene", "SyntheticOptions"]


@dataclass(frozen=True)
class SyntheticOptions:
    """Size of the videos, and how much they vary around the mean of the real ones.

    Args:
        height: rows of a frame.
        width: columns of a frame.
        light_jitter: of brightness, direction, softness and tint of the light; 1 is strong.
        color_jitter: of the objects' colors and gloss; 1 is strong.
        noise: standard deviation of the pixels' noise, in gray levels.
        mask_roughness: standard deviation of outlines, as if from a detector, in pixels.
        camera_jitter: of height, direction and focal length; 1 is strong.
        physics_jitter: of friction, drag, bounce and speed; 1 is strong.
        physics: the engine; a name of ``vps_d2.data.synthetic.physics.ENGINES``.
    """

    height: int = 160
    width: int = 240
    light_jitter: float = 0.0
    color_jitter: float = 0.0
    noise: float = 0.0
    mask_roughness: float = 0.0
    camera_jitter: float = 0.0
    physics_jitter: float = 0.0
    physics: str = "mujoco"

    @classmethod
    def randomized(cls, height: int = 160, width: int = 240) -> "SyntheticOptions":
        """Return the options that trained the project's weights."""
        return cls(height, width, 0.5, 0.5, 1.5, 0.6, 0.3)


@dataclass(frozen=True)
class Body:
    """One object.

    Args:
        shape: a name of ``vps_d2.data.vps``.
        material: a name of ``vps_d2.data.vps``.
        color: a name of ``vps_d2.data.vps``.
        half_size: half extents (x, y, z) in meters, before rotation.
    """

    shape: str
    material: str
    color: str
    half_size: tuple[float, float, float]

    @property
    def class_id(self) -> int:
        """Class number, 1-48."""
        return class_id(self.shape, self.material, self.color)


@dataclass(frozen=True)
class Scene:
    """Objects and their motion.

    Args:
        seed: of the video.
        bodies: the N objects; all are of different classes.
        positions: of their centers, meters, float64 (T, N, 3).
        quaternions: their orientations (w, x, y, z), float64 (T, N, 4).
        velocities: meters per second, float64 (T, N, 3).
        masses: relative to each other, float64 (N,).
        spins: about the vertical, radians per second, float64 (T, N).
        camera: that sees them.
    """

    seed: int
    bodies: tuple[Body, ...]
    positions: np.ndarray
    quaternions: np.ndarray
    velocities: np.ndarray
    masses: np.ndarray
    spins: np.ndarray
    camera: Camera = field(default_factory=Camera)

    def to_json(self) -> dict[str, Any]:
        """Return the contents of ``scene.json``: per object its class and motion at every frame."""
        objects = [
            {
                "class_id": body.class_id,
                "class_name": CLASS_NAMES[body.class_id],
                "half_size": list(body.half_size),
                "mass": round(float(self.masses[index]), 4),
                "position": self.positions[:, index].round(4).tolist(),
                "velocity": self.velocities[:, index].round(4).tolist(),
                "orientation": self.quaternions[:, index].round(5).tolist(),
            }
            for index, body in enumerate(self.bodies)
        ]
        return {"seed": self.seed, "camera": asdict(self.camera), "objects": objects}
