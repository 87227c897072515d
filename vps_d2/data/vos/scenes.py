"""Random scenes: objects, others that look alike, things that hide them, and a background.

Everything is drawn from one generator of random numbers, so a seed gives a scene.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vps_d2.data.vos.layers import Camera, Film, Layer, Scene
from vps_d2.data.vos.library import Library, load_cutout, load_picture
from vps_d2.data.vos.motion import Bend, Pose, Wander
from vps_d2.data.vos.shapes import NUM_SHAPES, shape
from vps_d2.data.vos.textures import NUM_TEXTURES, fractal, texture

_DETAIL_STEP = 32
_CALM, _USUAL, _FAST = (60.0, 240.0), (24.0, 140.0), (10.0, 50.0)


@dataclass(frozen=True)
class SceneOptions:
    """What scenes hold.

    Args:
        size: height and width of a frame, in pixels.
        objects: least and largest number of objects.
        lookalikes: chance that an object has a double, which is not an object.
        scenery: most things in the background that are not objects.
        occluders: most things in front.
    """

    size: tuple[int, int] = (192, 192)
    objects: tuple[int, int] = (1, 3)
    lookalikes: float = 0.35
    scenery: int = 2
    occluders: int = 1

    @property
    def detail(self) -> int:
        """Height and width of the pictures of things, in pixels."""
        return max(64, _DETAIL_STEP * round(0.75 * min(self.size) / _DETAIL_STEP))


def draw_scene(
    rng: np.random.Generator, options: SceneOptions, library: Library | None = None
) -> Scene:
    """Draw a scene.

    Args:
        rng: random numbers.
        options: what it holds.
        library: pictures and cut-outs to use besides procedural ones.

    Raises:
        FaultError: if a file of the library cannot be read.
    """
    painter = Painter(rng, options, library or Library())
    layers = [painter.background(), *painter.scenery(), *painter.objects(), *painter.occluders()]
    side = min(options.size)
    drift = side * rng.choice([0.02, 0.15, 0.5], p=[0.2, 0.45, 0.35])
    reach = (drift, rng.uniform(0, 6), rng.uniform(0, 0.2))
    return Scene(
        options.size,
        layers,
        Camera(rng, options.size, reach),
        draw_film(rng),
        seed=int(rng.integers(1 << 31)),
    )


def draw_film(rng: np.random.Generator) -> Film:
    """Draw how a scene is filmed."""
    shade = None
    if rng.random() < 0.4:
        strength = rng.uniform(0.1, 0.45)
        shade = (128 * (1 + strength * (2 * fractal(rng, 32, 2, 3) - 1))).astype(np.uint8)
    return Film(
        light=Wander(rng, np.full(3, rng.uniform(0, 0.12)) * rng.uniform(0.6, 1.4, 3), _USUAL),
        shade=shade,
        shade_drift=Wander(rng, (0.25, 0.25), _USUAL),
        gamma=float(np.exp(rng.normal(0, 0.2))),
        sigma=rng.uniform(0.3, 1.2) if rng.random() < 0.3 else 0.0,
        noise=rng.uniform(1, 9) if rng.random() < 0.5 else 0.0,
        quality=int(rng.integers(25, 95)) if rng.random() < 0.4 else 100,
    )


class Painter:
    """Draws the layers of one scene.

    Args:
        rng: random numbers.
        options: what the scene holds.
        library: pictures and cut-outs to use besides procedural ones.
    """

    def __init__(self, rng: np.random.Generator, options: SceneOptions, library: Library) -> None:
        self.rng = rng
        self.options = options
        self.library = library
        self.side = min(options.size)
        self.detail = options.detail

    def background(self) -> Layer:
        """Return a picture or a texture that is larger than the frame."""
        rng, (height, width) = self.rng, self.options.size
        if self.library.pictures and rng.random() < 0.8:
            pixels = self._picture()
        else:
            pixels = self._landscape(_DETAIL_STEP * round(1.4 * self.side / _DETAIL_STEP))
        if rng.random() < 0.3:
            pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 3) * self.side / 192)
        least = max(height / pixels.shape[0], width / pixels.shape[1])
        factor = least * rng.uniform(1.0, 1.7)
        spare = (
            max(0.0, pixels.shape[1] * factor - width) / 2,
            max(0.0, pixels.shape[0] * factor - height) / 2,
        )
        place = (
            width / 2 + rng.uniform(-1, 1) * spare[0],
            height / 2 + rng.uniform(-1, 1) * spare[1],
        )
        middle = (pixels.shape[1] / 2, pixels.shape[0] / 2)
        pose = Pose(rng, middle, place, factor, rng.normal(0, 3), rng.random() < 0.5)
        bend = None
        if rng.random() < 0.25:  # water, leaves, and views that change with the point of view
            bend = Bend(rng, pixels.shape[:2], *_no_hinges(), ripple=rng.uniform(1, 5))
        return Layer(pixels, pose, bend)

    def objects(self) -> list[Layer]:
        """Return the objects, numbered from 1 on, and their doubles, in random order."""
        low, high = self.options.objects
        layers: list[Layer] = []
        for number in range(1, int(self.rng.integers(low, high + 1)) + 1):
            # Some objects look like the one before.
            if number == 1 or self.rng.random() < 0.75:
                pixels = self._thing()
            layers.append(self._move(pixels, number))
            if self.rng.random() < self.options.lookalikes:
                layers.append(self._move(_tint(self.rng, pixels, 0.06), 0))
        order = self.rng.permutation(len(layers))
        return [layers[index] for index in order]

    def scenery(self) -> list[Layer]:
        """Return things of the background, most of which stand still."""
        count = int(self.rng.integers(0, self.options.scenery + 1))
        return [self._move(self._thing(), 0, still=self.rng.random() < 0.7) for _ in range(count)]

    def occluders(self) -> list[Layer]:
        """Return things in front, such as posts, which pass as the camera moves."""
        rng = self.rng
        layers = []
        for _ in range(int(rng.integers(0, self.options.occluders + 1))):
            pixels = self._thing() if rng.random() < 0.4 else self._post()
            layer = self._move(pixels, 0, still=True)
            layer.depth = rng.uniform(1.1, 1.8)
            layers.append(layer)
        return layers

    def _move(self, pixels: np.ndarray, number: int, still: bool = False) -> Layer:
        """Give a thing a place and a motion."""
        rng, (height, width) = self.rng, self.options.size
        extent = self.side * float(np.exp(rng.uniform(np.log(0.28), np.log(1.1))))
        factor = extent / max(pixels.shape[:2])
        place = (rng.uniform(0.12, 0.88) * width, rng.uniform(0.12, 0.88) * height)
        periods = (_CALM, _USUAL, _FAST)[int(rng.choice(3, p=[0.2, 0.55, 0.25]))]
        reach = (
            rng.uniform(0.05, 0.6) * self.side,
            rng.choice([5.0, 25.0, 90.0], p=[0.5, 0.35, 0.15]),
            rng.uniform(0, 0.4),
            rng.uniform(0, 0.25),
        )
        middle = (pixels.shape[1] / 2, pixels.shape[0] / 2)
        angle, flip = rng.normal(0, 15), rng.random() < 0.5
        none = (0.0, 0.0, 0.0, 0.0)
        pose = Pose(rng, middle, place, factor, angle, flip, none if still else reach, periods)
        light = Wander(rng, np.full(3, 0.12), _USUAL) if rng.random() < 0.4 else None
        return Layer(
            pixels,
            pose,
            None if still else self._bend(pixels),
            number,
            depth=1.0 if still else float(rng.choice([0.0, 0.4, 1.0], p=[0.4, 0.2, 0.4])),
            light=light,
            blurred=rng.random() < 0.5,
        )

    def _bend(self, pixels: np.ndarray) -> Bend | None:
        """Let some parts of a thing swing around joints nearer to its middle."""
        rng = self.rng
        if rng.random() < 0.15:
            return None
        rows, columns = np.nonzero(pixels[::4, ::4, 3] > 127)
        count = int(rng.integers(1, 6))
        if not len(rows):
            return None
        chosen = rng.integers(0, len(rows), count)
        tips = 4.0 * np.stack([columns[chosen], rows[chosen]], -1)
        middle = 4.0 * np.array([columns.mean(), rows.mean()])
        hinges = tips + (middle - tips) * rng.uniform(0.3, 0.7, (count, 1))
        extent = max(pixels.shape[:2])
        ripple, turn = rng.uniform(0, 0.03) * extent, rng.uniform(0, 0.2) * extent
        return Bend(rng, pixels.shape[:2], hinges, tips, rng.uniform(5, 50), ripple, turn)

    def _thing(self) -> np.ndarray:
        """Return a cut-out or a procedural thing, uint8 RGBA."""
        rng = self.rng
        if self.library.cutouts and rng.random() < 0.6:
            path = self.library.cutouts[int(rng.integers(len(self.library.cutouts)))]
            pixels = load_cutout(path, self.detail)
            return _tint(rng, pixels, 0.15) if rng.random() < 0.5 else pixels
        outline = shape(int(rng.integers(NUM_SHAPES)), self.detail)
        surface = self._surface()
        if rng.random() < 0.4:
            # Things have parts: another texture where another shape is.
            part = shape(int(rng.integers(NUM_SHAPES)), self.detail).alpha
            shift = rng.integers(-self.detail // 3, self.detail // 3, 2)
            part = np.roll(part, shift.tolist(), (0, 1))
            surface = np.where(part[..., None] > 127, self._surface(), surface)
        shaded = cv2.multiply(surface, cv2.merge([outline.relief] * 3), scale=1 / 128)
        return np.dstack([shaded, outline.alpha])

    def _surface(self) -> np.ndarray:
        """Return a texture, or a part of a picture, of the size of things."""
        rng, side = self.rng, self.detail
        if not self.library.pictures or rng.random() < 0.5:
            return texture(int(rng.integers(NUM_TEXTURES)), side)
        picture = self._picture()
        most = min(picture.shape[:2])
        extent = int(rng.uniform(0.2, 0.8) * most)
        top, left = (int(rng.integers(0, length - extent + 1)) for length in picture.shape[:2])
        part = picture[top : top + extent, left : left + extent]
        return cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)

    def _picture(self) -> np.ndarray:
        path = self.library.pictures[int(self.rng.integers(len(self.library.pictures)))]
        return load_picture(path, round(1.5 * self.side))

    def _landscape(self, side: int) -> np.ndarray:
        """Return a background of two textures that meet at a rough horizon, or of one."""
        rng = self.rng
        pixels = texture(int(rng.integers(NUM_TEXTURES)), side)
        if rng.random() < 0.3:
            return pixels
        other = texture(int(rng.integers(NUM_TEXTURES)), side)
        rough = rng.uniform(0, 0.3) * side
        edge = cv2.resize(rng.random((1, 24), np.float32), (side, 1), interpolation=cv2.INTER_CUBIC)
        horizon = rng.uniform(0.25, 0.75) * side + rough * edge[0]
        below = np.arange(side)[:, None] > horizon
        return np.where(below[..., None], other, pixels)

    def _post(self) -> np.ndarray:
        """Return something long and thin."""
        rng, side = self.rng, self.detail
        width = max(4, int(rng.uniform(0.04, 0.2) * side))
        alpha = np.zeros((side, side), np.uint8)
        start, end = rng.uniform(0.3, 0.7, 2) * side
        cv2.line(alpha, (int(start), 1), (int(end), side - 2), 255, width, cv2.LINE_AA)
        return np.dstack([self._surface(), alpha])


def _tint(rng: np.random.Generator, pixels: np.ndarray, strength: float) -> np.ndarray:
    """Change the colors of a thing a little."""
    gains = np.exp(rng.normal(0, strength, 3) + rng.normal(0, strength))
    table = np.clip(np.arange(256)[:, None] * np.append(gains, 1), 0, 255).astype(np.uint8)
    return cv2.LUT(pixels, table.reshape(1, 256, 4))


def _no_hinges() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, 2)), np.empty((0, 2))
