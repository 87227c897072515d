"""The colours of rubber and metal under the real videos' lamps.

Vectors lie along the first axis of arrays: (3, n). Colours are RGB, 0-255.
"""

from dataclasses import dataclass

import numpy as np

from vps_d2.data.synthetic.background import Lamp
from vps_d2.data.synthetic.scene import Body

__all__ = ["Look", "body_look", "shade"]

_RUBBER = {
    "gray": (92, 91, 88),
    "red": (122, 57, 56),
    "blue": (62, 83, 146),
    "green": (46, 95, 38),
    "brown": (108, 76, 41),
    "cyan": (58, 137, 130),
    "purple": (110, 54, 130),
    "yellow": (155, 148, 62),
}
_METAL = {
    "gray": (90, 90, 88),
    "red": (120, 40, 40),
    "blue": (50, 72, 150),
    "green": (30, 95, 25),
    "brown": (105, 70, 30),
    "cyan": (40, 135, 130),
    "purple": (105, 40, 130),
    "yellow": (140, 132, 45),
}
_LAMP_DIFFUSE = 1.0
_FLOOR_REACH = 13.0
_DARK_ROOM = 0.22


@dataclass(frozen=True)
class Look:
    """How one object is painted.

    Args:
        material: metal or rubber.
        color: RGB in plain light, or of the mirrored floor.
        gloss: factor on the mirror image's contrast.
    """

    material: str
    color: tuple[float, float, float]
    gloss: float = 1.0


def body_look(body: Body, jitter: float, rng: np.random.Generator) -> Look:
    """Return the paint of a body; ``jitter`` of 1 strays far from the real videos' one."""
    color = (_METAL if body.material == "metal" else _RUBBER)[body.color]
    strength = np.exp(jitter * (rng.normal() * 0.12 + rng.normal(size=3) * 0.08))
    gloss = np.exp(jitter * rng.normal() * 0.3)
    red, green, blue = (np.array(color) * strength).tolist()
    return Look(body.material, (red, green, blue), float(gloss))


def shade(
    look: Look,
    lamps: tuple[Lamp, ...],
    points: np.ndarray,
    normals: np.ndarray,
    rays: np.ndarray,
    centers: np.ndarray,
) -> np.ndarray:
    """Return colours, float32 (3, n), of places on an object.

    Args:
        look: its paint.
        lamps: of the room.
        points: in the world, metres.
        normals: unit normals there.
        rays: unit directions in which they are seen.
        centers: of the object, metres.
    """
    color = np.array(look.color, np.float32)[:, None]
    if look.material == "rubber":
        return color * _diffuse(lamps, points, normals)
    mirrored = rays - 2 * (rays * normals).sum(axis=0) * normals
    plain, glare = _studio(lamps, points, mirrored, centers)
    plain = 1 + (plain - 1) * look.gloss
    return color * plain + glare * (0.35 + 0.65 * color / 128) * look.gloss


def _towards(lamp: Lamp, points: np.ndarray) -> np.ndarray:
    way = np.array(lamp.position, np.float32)[:, None] - points
    return np.asarray(way / np.sqrt((way * way).sum(axis=0)))


def _diffuse(lamps: tuple[Lamp, ...], points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return the light on matt places, about 1, (n,)."""
    light = 0.78 + 0.1 * normals[2]
    for lamp in lamps[:-1]:
        facing = (_towards(lamp, points) * normals).sum(axis=0)
        light += _LAMP_DIFFUSE * lamp.share * np.maximum(facing, 0)
    # The floor takes the light from what is near it.
    return np.asarray(light * (1 - 0.25 * np.exp(-points[2] / 0.12) * (0.5 - 0.5 * normals[2])))


def _studio(
    lamps: tuple[Lamp, ...], points: np.ndarray, mirrored: np.ndarray, centers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a mirror shows: light about 1 where it is floor, (n,), and lamps, (3, n)."""
    down = np.minimum(mirrored[2], -1e-3)
    place = points[:2] - points[2] / down * mirrored[:2]
    away = np.sqrt(place[0] ** 2 + (place[1] - 8.0) ** 2)
    floor = np.clip(1.15 - 0.45 * away / _FLOOR_REACH, 0.3, 1.1)
    near = ((place - centers[:2]) ** 2).sum(axis=0)
    floor *= 1 - 0.55 * np.exp(-near / 0.2)
    room = _DARK_ROOM + 0.1 * np.exp(-np.maximum(mirrored[2], 0) / 0.2)
    above = np.clip(mirrored[2] / 0.06 + 0.5, 0, 1)
    plain = floor + (room - floor) * above
    glare = np.zeros_like(points)
    for lamp in lamps[:-1]:
        aside = 1 - (_towards(lamp, points) * mirrored).sum(axis=0)
        color = np.array(lamp.color, np.float32)[:, None]
        glare += color * np.exp(-2 * aside / lamp.glare**2)
    return plain, np.minimum(glare, 300)
