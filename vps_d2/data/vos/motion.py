"""Smooth random motion: affine motion of whole things, and how they bend.

Points are x and y in pixels, and pixels have their centers at whole numbers. Time is in frames.
"""

from collections.abc import Sequence

import cv2
import numpy as np

_WAVES = 3
_CELL = 12
"""Pixels between the points at which a warp is computed exactly; between them it is linear."""


class Wander:
    """Smooth random functions of time that are 0 at time 0, stay bounded, and never repeat soon.

    Args:
        rng: random numbers.
        reach: how far each function goes from 0, roughly; its shape is that of the result.
        periods: shortest and longest period of the waves, in frames.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        reach: Sequence[float] | np.ndarray,
        periods: tuple[float, float] = (18, 120),
    ) -> None:
        reach = np.asarray(reach, float)
        low, high = np.log(periods).tolist()
        period = np.exp(rng.uniform(low, high, (_WAVES, *reach.shape)))
        # Short waves are also low ones, or everything would tremble.
        weight = rng.uniform(0.3, 1, period.shape) * period / periods[1]
        weight /= np.maximum(weight.sum(0), 1.0)
        self._speed = 2 * np.pi / period
        self._phase = rng.uniform(0, 2 * np.pi, period.shape)
        self._reach = weight * reach
        self._start = (self._reach * np.sin(self._phase)).sum(0)

    def __call__(self, time: float) -> np.ndarray:
        """Return the values at a time."""
        waves = self._reach * np.sin(self._speed * time + self._phase)
        values: np.ndarray = waves.sum(0) - self._start
        return values


class Pose:
    """Where a flat thing is: from pixels of its picture to pixels of a frame.

    Args:
        rng: random numbers of the motion.
        middle: the point of its picture that it turns around.
        place: where that is at time 0, in pixels of the frame.
        factor: size at time 0.
        angle: at time 0, in degrees.
        flip: whether it is mirrored.
        reach: how far it moves, in pixels of the frame; turns, in degrees; and how much its width
            and height change, as natural logarithms.
        periods: see :class:`Wander`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        middle: tuple[float, float],
        place: tuple[float, float],
        factor: float,
        angle: float = 0.0,
        flip: bool = False,
        reach: tuple[float, float, float, float] = (0, 0, 0, 0),
        periods: tuple[float, float] = (18, 120),
    ) -> None:
        distance, turn, growth, squeeze = reach
        self._middle = np.array(middle)
        self._place = np.array(place)
        self._factor = factor
        self._angle = angle
        self._mirror = -1.0 if flip else 1.0
        # x, y, angle, common and opposite change of the logarithms of width and height.
        self._wander = Wander(rng, (distance, distance, turn, growth, squeeze), periods)

    def matrix(self, time: float) -> np.ndarray:
        """Return the affine matrix ``(2, 3)`` at a time."""
        x, y, turn, growth, squeeze = self._wander(time)
        angle = np.deg2rad(self._angle + turn)
        across = self._factor * np.exp(growth + squeeze) * self._mirror
        along = self._factor * np.exp(growth - squeeze)
        cosine, sine = np.cos(angle), np.sin(angle)
        linear = np.array([[cosine * across, -sine * along], [sine * across, cosine * along]])
        offset = np.array([x, y]) + self._place - linear @ self._middle
        return np.concatenate([linear, offset[:, None]], 1)


class Bend:
    """How a thing bends in its own picture: limbs that swing, a soft ripple, and a turn.

    A turn shifts the middle of the picture but not its edges, as if what is seen were swollen and
    turned to a side.

    The bend is of the way back, from where a point is to where it was, so it needs no inverse.

    Args:
        rng: random numbers.
        size: height and width of the picture.
        hinges: joints ``(K, 2)`` that what is beyond them swings around.
        tips: middles ``(K, 2)`` of what swings.
        swing: largest angle, in degrees.
        ripple: largest shift, in pixels of the picture.
        turn: largest shift of the middle, in pixels of the picture.
        periods: see :class:`Wander`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        size: tuple[int, int],
        hinges: np.ndarray,
        tips: np.ndarray,
        swing: float = 30.0,
        ripple: float = 3.0,
        turn: float = 0.0,
        periods: tuple[float, float] = (12, 60),
    ) -> None:
        self._hinges, self._tips = hinges, tips
        spans = np.linalg.norm(hinges - tips, axis=1)
        self._widths = np.maximum(spans * rng.uniform(0.6, 1.2, len(spans)), 4.0)
        self._angles = Wander(rng, np.full(len(hinges), np.deg2rad(swing)), periods)
        waves = rng.uniform(1.5, 6, (2, 2)) * rng.choice([-1, 1], (2, 2))
        self._waves = waves / max(size)
        self._ripple = Wander(rng, np.full((2, 2), ripple), periods)
        self._middle = np.array([size[1], size[0]]) / 2
        self._turn = Wander(rng, (turn, turn / 2), periods)

    def apply(self, points: np.ndarray, time: float) -> np.ndarray:
        """Return where points ``(..., 2)`` of the bent picture were at time 0."""
        moved = points.copy()
        shares = np.sin(2 * np.pi * points @ self._waves)
        moved += shares @ self._ripple(time)
        swelling = np.maximum(1 - (points / self._middle - 1) ** 2, 0).prod(-1)
        moved += swelling[..., None] * self._turn(time)
        angles = self._angles(time)
        for hinge, tip, width, angle in zip(
            self._hinges, self._tips, self._widths, angles, strict=True
        ):
            away = points - tip
            near = np.exp(-0.5 * (away**2).sum(-1) / width**2)[..., None]
            turned = near * angle
            cosine, sine = np.cos(turned) - 1, np.sin(turned)
            arm = points - hinge
            moved += cosine * arm + sine * np.stack([-arm[..., 1], arm[..., 0]], -1)
        return moved


def covered(
    matrix: np.ndarray, size: tuple[int, int], frame: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of a frame that a moved picture can cover: left, top, width and height.

    Args:
        matrix: affine ``(2, 3)``, from the picture to the frame.
        size: height and width of the picture.
        frame: height and width of the frame.
    """
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    points = corners @ matrix.T
    low = np.clip(np.floor(points.min(0)), 0, (frame[1], frame[0])).astype(int)
    high = np.clip(np.ceil(points.max(0)), 0, (frame[1], frame[0])).astype(int)
    left, top = low.tolist()
    right, bottom = high.tolist()
    return left, top, right - left, bottom - top


def warp_map(
    matrix: np.ndarray, region: tuple[int, int, int, int], bend: Bend | None, time: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each pixel of a region of a frame is in the picture: x and y, float32.

    Args:
        matrix: affine ``(2, 3)``, from the picture to the frame.
        region: left, top, width and height.
        bend: of the picture; None for a rigid one.
        time: in frames.
    """
    left, top, width, height = region
    rows, columns = -(-height // _CELL) + 2, -(-width // _CELL) + 2
    # The middles of cells, so that cv2.resize puts each value where it belongs; one cell more on
    # each side, since it repeats the outermost values.
    y, x = np.mgrid[:rows, :columns].astype(float)
    points = np.stack([left + (x - 0.5) * _CELL - 0.5, top + (y - 0.5) * _CELL - 0.5], -1)
    back = cv2.invertAffineTransform(matrix)
    places = points @ back[:, :2].T + back[:, 2]
    if bend is not None:
        places = bend.apply(places, time)
    size = (columns * _CELL, rows * _CELL)
    area = (slice(_CELL, _CELL + height), slice(_CELL, _CELL + width))
    x_map, y_map = (
        cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)[area]
        for part in np.moveaxis(places, -1, 0).astype(np.float32, order="C")
    )
    return x_map, y_map
