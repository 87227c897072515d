"""Flat things that move in front of each other, and the camera that films them.

Shapes: ``H`` rows, ``W`` columns. Pictures are uint8 RGB; object maps uint8 ``(H, W)``.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from vps_d2.data.vos.motion import Bend, Pose, Wander, covered, warp_map

_OPAQUE = 127
_SHUTTER = 0.5  # share of the time between two frames in which a camera lets light in
_LONGEST_BLUR = 15  # pixels


class Camera:
    """A camera that drifts, turns, zooms and shakes a little.

    Args:
        rng: random numbers.
        size: height and width of a frame.
        reach: how far it drifts, in pixels; turns, in degrees; and zooms, as a natural logarithm.
    """

    def __init__(
        self, rng: np.random.Generator, size: tuple[int, int], reach: tuple[float, float, float]
    ) -> None:
        distance, turn, zoom = reach
        self._center = np.array([size[1] / 2, size[0] / 2])
        self._drift = Wander(rng, (distance, distance / 2, np.deg2rad(turn), zoom), (30, 150))
        shake = 0.02 * distance
        self._shake = Wander(rng, (shake, shake, 0, 0), (3, 12))

    def matrix(self, time: float, depth: float = 1.0) -> np.ndarray:
        """Return how what is filmed moves on the frame, an affine matrix ``(2, 3)``.

        Args:
            time: in frames.
            depth: how much the thing takes part: 1 for the background, 0 if the camera follows it,
                more for what is in front.
        """
        x, y, turn, zoom = (self._drift(time) + self._shake(time)) * depth
        cosine, sine = np.exp(zoom) * np.cos(turn), np.exp(zoom) * np.sin(turn)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        offset = np.array([x, y]) + self._center - linear @ self._center
        return np.concatenate([linear, offset[:, None]], 1)


@dataclass
class Layer:
    """A flat thing.

    Args:
        pixels: uint8 RGBA ``(h, w, 4)``, or RGB ``(h, w, 3)`` for a background without end.
        pose: of the picture at each time.
        bend: of the picture; None for a rigid one.
        number: of the object; 0 if it is none, but hides what is behind it.
        labels: of a background with objects in it, uint8 ``(h, w)``.
        depth: see :meth:`Camera.matrix`.
        light: natural logarithms of the gains of red, green and blue; None for no change.
        blurred: whether fast motion blurs it.
    """

    pixels: np.ndarray
    pose: Pose
    bend: Bend | None = None
    number: int = 0
    labels: np.ndarray | None = None
    depth: float = 1.0
    light: Wander | None = None
    blurred: bool = False

    def draw(self, frame: np.ndarray, objects: np.ndarray, camera: Camera, time: float) -> None:
        """Draw the layer over a frame, and over its object map, at a time in frames."""
        matrix = self._matrix(camera, time)
        if self.pixels.shape[2] == 3:
            self._draw_background(frame, objects, matrix, time)
            return
        region = covered(matrix, self.pixels.shape[:2], frame.shape[:2])
        left, top, width, height = region
        if min(width, height) < 2 or abs(np.linalg.det(matrix[:, :2])) < 1e-4:
            return
        places = warp_map(matrix, region, self.bend, time)
        pixels = cv2.remap(self.pixels, *places, cv2.INTER_LINEAR)
        pixels = self._light(pixels, time)
        area = (slice(top, top + height), slice(left, left + width))
        alpha = pixels[..., 3:]
        objects[area][alpha[..., 0] > _OPAQUE] = self.number
        share: np.ndarray = alpha.astype(np.float32) / 255
        front: np.ndarray = pixels[..., :3] * share
        if self.blurred and (kernel := self._blur_kernel(camera, time, matrix)) is not None:
            front = cv2.filter2D(front, -1, kernel)
            share = cv2.filter2D(share, -1, kernel)[..., None]
        frame[area] = front + frame[area] * (1 - share)

    def _draw_background(
        self, frame: np.ndarray, objects: np.ndarray, matrix: np.ndarray, time: float
    ) -> None:
        height, width = frame.shape[:2]
        places = warp_map(matrix, (0, 0, width, height), self.bend, time)
        edges = cv2.BORDER_REFLECT_101 if self.labels is None else cv2.BORDER_CONSTANT
        mean = cv2.mean(self.pixels)
        pixels = cv2.remap(
            self.pixels, *places, cv2.INTER_LINEAR, borderMode=edges, borderValue=mean
        )
        frame[:] = self._light(pixels, time)
        objects[:] = 0
        if self.labels is not None:
            objects[:] = cv2.remap(self.labels, *places, cv2.INTER_NEAREST)

    def _matrix(self, camera: Camera, time: float) -> np.ndarray:
        view = np.vstack([camera.matrix(time, self.depth), [0, 0, 1]])
        matrix: np.ndarray = view[:2] @ np.vstack([self.pose.matrix(time), [0, 0, 1]])
        return matrix

    def _light(self, pixels: np.ndarray, time: float) -> np.ndarray:
        if self.light is None:
            return pixels
        gains = np.append(np.exp(self.light(time)), np.ones(pixels.shape[2] - 3))
        table = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)
        return cv2.LUT(pixels, table[:, None, :].reshape(1, 256, -1))

    def _blur_kernel(self, camera: Camera, time: float, matrix: np.ndarray) -> np.ndarray | None:
        """Return the kernel of the motion while the shutter is open; None for hardly any."""
        middle = np.array([self.pixels.shape[1] / 2, self.pixels.shape[0] / 2, 1])
        way = (self._matrix(camera, time + _SHUTTER) - matrix) @ middle
        length = float(np.abs(way).max())
        if length < 1.5:
            return None
        way *= min(1.0, _LONGEST_BLUR / length)
        side = 2 * int(np.ceil(np.abs(way).max() / 2)) + 1
        kernel = np.zeros((side, side), np.float32)
        start = np.round(side // 2 - way / 2).astype(int).tolist()
        end = np.round(side // 2 + way / 2).astype(int).tolist()
        cv2.line(kernel, start, end, 1.0)
        return kernel / kernel.sum()


@dataclass
class Film:
    """What a camera does to the picture as a whole.

    Args:
        light: natural logarithms of the gains of red, green and blue over time.
        shade: uint8 ``(k, k)``, where it is darker (0) or lighter (255); None for nowhere.
        shade_drift: how the shade moves, in shares of its size.
        gamma: of the tones.
        sigma: of the blur of a lens out of focus, in pixels.
        noise: standard deviation of the noise, in 8-bit steps.
        quality: of the JPEG compression; 100 for none.
    """

    light: Wander
    shade: np.ndarray | None = None
    shade_drift: Wander | None = None
    gamma: float = 1.0
    sigma: float = 0.0
    noise: float = 0.0
    quality: int = 100

    def develop(self, frame: np.ndarray, time: float, seed: int) -> np.ndarray:
        """Return how a frame looks in a video.

        Args:
            frame: uint8 RGB ``(H, W, 3)``.
            time: in frames.
            seed: of the noise.
        """
        tones = (np.arange(256) / 255) ** self.gamma * 255
        table = np.clip(tones[:, None] * np.exp(self.light(time)), 0, 255).astype(np.uint8)
        frame = cv2.LUT(frame, table.reshape(1, 256, 3))
        if self.shade is not None and self.shade_drift is not None:
            frame = self._shade(frame, self.shade, self.shade_drift(time))
        if self.sigma > 0.2:
            frame = cv2.GaussianBlur(frame, (0, 0), self.sigma)
        if self.noise > 0.5:
            grain = np.random.default_rng(seed).integers(0, 1 << 16)
            frame = cv2.add(frame, _grain(frame.shape[:2], int(grain), self.noise), dtype=cv2.CV_8U)
        if self.quality < 100:
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert decoded is not None  # it was encoded just now
            frame = decoded
        return frame

    @staticmethod
    def _shade(frame: np.ndarray, shade: np.ndarray, drift: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        side = shade.shape[0]
        matrix = np.array([[side / 2 / width, 0, 0], [0, side / 2 / height, 0]])
        matrix[:, 2] = side * (0.25 + np.clip(drift, -0.25, 0.25))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(
            shade, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.multiply(frame, cv2.merge([moved] * 3), scale=1 / 128)


_BANK = 1 << 18
_noise_bank: list[np.ndarray] = []


def _grain(size: tuple[int, int], start: int, strength: float) -> np.ndarray:
    """Return noise int16 ``(H, W, 3)``, cut from a fixed stock, which is faster than drawing it."""
    if not _noise_bank:
        _noise_bank.append(np.random.default_rng(0).standard_normal(_BANK).astype(np.float32))
    count = size[0] * size[1] * 3
    bank = _noise_bank[0]
    repeated = np.resize(np.roll(bank, -start), count) if count > _BANK - start else bank[start:]
    return (repeated[:count] * strength).astype(np.int16).reshape(*size, 3)


@dataclass
class Scene:
    """Layers from the back to the front, and how they are filmed.

    Args:
        size: height and width of a frame, in pixels.
        layers: the first one is the background.
        camera: that moves.
        film: what it does to the picture.
        seed: of the noise.
    """

    size: tuple[int, int]
    layers: list[Layer]
    camera: Camera
    film: Film
    seed: int = 0
    _canvas: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._canvas = np.zeros((*self.size, 3), np.uint8)

    def render(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame, uint8 RGB ``(H, W, 3)``, and its object map, uint8 ``(H, W)``."""
        objects = np.zeros(self.size, np.uint8)
        for layer in self.layers:
            layer.draw(self._canvas, objects, self.camera, time)
        seed = self.seed + round(time * 16)
        return self.film.develop(self._canvas, time, seed), objects
