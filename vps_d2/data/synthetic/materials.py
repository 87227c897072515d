"""The colors of rubber and metal under the real videos' lamps.

Measured on the real videos: rubber is lit almost evenly, metal mirrors a floor as bright as the
empty picture, a darker room and three lamps behind the camera and on its right.

Vectors lie along the first axis of arrays: (3, n). Colors are RGB, 0-255.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vps_d2.data.synthetic.background import Lamp
from vps_d2.data.synthetic.geometry import dot
from vps_d2.data.synthetic.scene import Body

__all__ = ["FLOOR_GRAY", "Look", "Neighbor", "body_look", "shade"]

_RUBBER = {
    "gray": (87, 86, 84),
    "red": (120, 55, 54),
    "blue": (60, 78, 128),
    "green": (49, 91, 39),
    "brown": (101, 76, 43),
    "cyan": (57, 124, 123),
    "purple": (102, 53, 118),
    "yellow": (141, 136, 64),
}
_METAL = {
    "gray": (77, 76, 74),
    "red": (106, 46, 46),
    "blue": (51, 69, 118),
    "green": (41, 80, 32),
    "brown": (91, 68, 37),
    "cyan": (51, 116, 116),
    "purple": (92, 48, 111),
    "yellow": (128, 123, 54),
}
_EVENNESS = (1.048, -0.119, 0.159, -0.031, -0.041, -0.221, 0.065, 0.011, -0.099)
"""Light on rubber, of a normal (x, y, z): factors of 1, x, y, z, xy, yz, xz, 3zz-1, xx-yy. Such
nine numbers hold the light that a matt surface gets from any room (Ramamoorthi and Hanrahan, "An
Efficient Representation for Irradiance Environment Maps", 2001)."""
_DARK_ROOM = 0.34
_FAR_WALL = (0.09, 0.96, 0.26)
"""Direction in which the mirrored room is brighter."""
FLOOR_GRAY = 132.0
"""Of the empty picture, in the mean."""
_GLARE_WIDTH = 0.13
"""Radius of a lamp's mirror image, in radians."""


@dataclass(frozen=True)
class Look:
    """How one object is painted.

    Args:
        material: metal or rubber.
        color: RGB in plain light; for metal, where it mirrors the floor.
        gloss: factor on the mirror image's contrast.
    """

    material: str
    color: tuple[float, float, float]
    gloss: float = 1.0


@dataclass(frozen=True)
class Neighbor:
    """Another object, as a ball, where it may be mirrored or take light.

    Args:
        centers: as seen from every place, meters, (3, n).
        radius: in meters.
        color: RGB.
    """

    centers: np.ndarray
    radius: float
    color: tuple[float, float, float]

    def coverage(self, points: np.ndarray, directions: np.ndarray, softness: float) -> np.ndarray:
        """Return how much of the view from points in unit directions it covers, 0-1, (n,)."""
        way = self.centers - points
        along = dot(way, directions)
        gap = np.sqrt(np.maximum(dot(way, way) - along * along, 0))
        covered = np.clip((self.radius - gap) / softness + 0.5, 0, 1)
        return np.asarray(covered * np.clip(along / self.radius, 0, 1))


def body_look(body: Body, jitter: float, rng: np.random.Generator) -> Look:
    """Return the paint of a body; ``jitter`` of 1 strays far from the real videos' one."""
    color = (_METAL if body.material == "metal" else _RUBBER)[body.color]
    strength = np.exp(jitter * (rng.normal() * 0.12 + rng.normal(size=3) * 0.08))
    gloss = np.exp(jitter * rng.normal() * 0.2)
    red, green, blue = (np.array(color) * strength).tolist()
    return Look(body.material, (red, green, blue), float(gloss))


def shade(
    look: Look,
    lamps: Sequence[Lamp],
    points: np.ndarray,
    normals: np.ndarray,
    rays: np.ndarray,
    centers: np.ndarray,
    neighbors: Sequence[Neighbor] = (),
) -> np.ndarray:
    """Return colors, float32 (3, n), of places on an object.

    Args:
        look: its paint.
        lamps: of the room.
        points: in the world, meters.
        normals: unit normals there.
        rays: unit directions in which they are seen.
        centers: of the object, meters.
        neighbors: other objects near some of the places.
    """
    color = np.array(look.color, np.float32)[:, None]
    if look.material == "rubber":
        nearness = np.clip(1.085 - 0.009 * points[1], 0.9, 1.05)
        shadows = _lamp_light(lamps, points, normals, neighbors)
        return np.asarray(color * (_even_light(normals) * nearness * shadows))
    mirrored = rays - 2 * dot(rays, normals) * normals
    room = np.broadcast_to(_room(lamps, points, mirrored, centers), points.shape).copy()
    for neighbor in neighbors:
        seen = neighbor.coverage(points, mirrored, 0.15 * neighbor.radius)
        image = np.array(neighbor.color, np.float32)[:, None] * (0.9 / FLOOR_GRAY)
        room += (image - room) * seen
    # Where metal is seen at a grazing angle, it mirrors more.
    room += 0.6 * (0.95 - room) * np.clip(1 + dot(rays, normals), 0, 1) ** 3
    room = 1 + (room - 1) * look.gloss
    glare = _glare(lamps, points, mirrored) * look.gloss
    return np.asarray(color * room + glare * (0.65 * color + 30))


def _even_light(normals: np.ndarray) -> np.ndarray:
    """Return the light on matt places, about 1, (n,)."""
    x, y, z = normals
    terms = (1, x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y)
    light = sum(factor * term for factor, term in zip(_EVENNESS, terms, strict=True))
    return np.clip(light, 0.6, 1.2)


def _towards(lamp: Lamp, points: np.ndarray) -> np.ndarray:
    """Return unit directions from points to a lamp, (3, n)."""
    way = np.array(lamp.position, np.float32)[:, None] - points
    return np.asarray(way / np.sqrt(dot(way, way)))


def _lamp_light(
    lamps: Sequence[Lamp],
    points: np.ndarray,
    normals: np.ndarray,
    neighbors: Sequence[Neighbor],
) -> np.ndarray:
    """Return the share of their light, (n,), that other objects leave to matt places."""
    light = np.ones(points.shape[1], np.float32)
    if not neighbors:
        return light
    for lamp in lamps:
        direction = _towards(lamp, points)
        facing = np.clip(1.5 * dot(direction, normals), 0, 1)
        for neighbor in neighbors:
            light -= lamp.share * facing * neighbor.coverage(points, direction, 0.2)
    return np.maximum(light, 0.5)


def _room(
    lamps: Sequence[Lamp], points: np.ndarray, mirrored: np.ndarray, centers: np.ndarray
) -> np.ndarray:
    """Return the reflection of the room, (n,), in units of the floor's brightness."""
    upward = mirrored[2]
    place = points[:2] - points[2] / np.minimum(upward, -1e-3) * mirrored[:2]
    # Where it stands, the floor is dark of the object itself.
    near = (place[0] - centers[0]) ** 2 + (place[1] - centers[1]) ** 2
    floor = 1.03 - 0.4 * np.exp(-near / 0.1)
    wall = np.array(_FAR_WALL, np.float32)[:, None]
    room = _DARK_ROOM + 0.36 * np.exp((dot(wall, mirrored) - 1) * 1.7)
    for lamp in lamps:
        aside = dot(_towards(lamp, points), mirrored) - 1
        room += lamp.haze * np.exp(aside * 8)
    above = np.clip((upward + 0.2) / 0.27, 0, 1)
    above = above * above * (3 - 2 * above)
    return np.asarray(floor + (room - floor) * above)


def _glare(lamps: Sequence[Lamp], points: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Return the lamps' mirror images, (n,), in units of the floor's brightness."""
    glare = np.zeros(points.shape[1], np.float32)
    for lamp in lamps:
        if lamp.glare:
            aside = dot(_towards(lamp, points), mirrored) - 1
            glare += lamp.glare * np.exp(aside * (2 / _GLARE_WIDTH**2))
    return glare
