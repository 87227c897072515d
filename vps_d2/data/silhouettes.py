"""Where objects are on the floor, and how they are turned, measured from their silhouettes.

All objects of the vps data sets have one size, the camera never moves and the floor is flat, so a
silhouette is a known function of an object's place and, if it is a cube, of its yaw. Both are found
by fitting the silhouette to the outline of the object's mask, for all objects and frames of a video
at once. Where the picture's border or a nearer object cuts a mask off, its edge is no outline: it
only says that the silhouette reaches at least as far. Nothing here imports PyTorch.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns; ``B`` objects in frames, ``P``
points of an outline. Pixels are those of pictures 240 wide.
"""

from typing import NamedTuple

import numpy as np

from vps_d2.data.hulls import (
    SPLITS,
    Hulls,
    Misfit,
    following,
    measure_misfit,
    project_cubes,
    project_cylinders,
    project_spheres,
)
from vps_d2.data.outlines import WIDTH, Points, find_cracks, find_middles, gather_points
from vps_d2.data.vps import TAXONOMY
from vps_d2.data.world import RADIUS, Camera

NUM_MEASURES = 10
"""Of an object in a frame."""


class _Rule(NamedTuple):
    """How points count in a step of the fit.

    Attributes:
        push: pixels by which a point is moved out of the mask to find the side of the silhouette
            that it belongs to; the more, the more the direction of the outline counts.
        tolerance: distance in pixels beyond which a point counts less.
    """

    push: float
    tolerance: float


_ROUGH = _Rule(20.0, 20.0), _Rule(20.0, 8.0)
_TURNING = (_Rule(5.0, 4.0),) * 3
_FINE = (_Rule(4.0, 2.0),) * 3
_TRIED_YAWS = np.arange(6) * (np.pi / 12)
"""A cube looks the same after a quarter turn."""
_LONGEST_STEP = np.array([1.5, 1.5, 0.3])
"""Meters, meters and radians."""
_PRIOR = np.diag([0.05, 0.05, 0.05])
"""Keeps a fit where hardly any outline is left; in pixels' sides, per square meter or radian."""
MIN_PIXELS = 12
"""In a picture 240 wide; smaller patches are a segmenter's mistakes more often than objects."""

_OWN_ERROR, _SEEN_ERROR = 0.2, 2.2
"""Of a point of an outline: pixels, and in how many root mean squares of the misfit, to be added in
squares. Neighbors err alike, so it is more than one."""
_COMMON_ERRORS = np.array([0.1, 0.1, 0.18])
"""Of a whole outline, in pixels: by which it is grown, and moved to the right and down."""
_LARGEST_VARIANCE = 4.0
"""Of a place, square meters: what is seen lies somewhere near."""
_SHORT = 20.0
"""Pixels' sides of outline; where there is less, its errors are taken for larger."""


def measure_silhouettes(masks: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Measure objects in all frames of a video.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        class_ids: of the objects to measure, ``(K,)``, all different, 1 to 48.

    Returns:
        float32 ``(K, T, NUM_MEASURES)``; zeros where an object is not seen, else

        - 0: the visible area over the area of the whole silhouette;
        - 1, 2: place x and y of the center on the floor, in meters;
        - 3, 4: of cubes, cosine and sine of four times the yaw, times how certain it is, 0 to 1;
        - 5, 6, 7: covariance xx, xy and yy of the place, square meters;
        - 8: share of the silhouette's outline that lies outside of the picture;
        - 9: share of it that other objects hide or touch.
    """
    class_ids = np.asarray(class_ids, np.int64)
    num_objects, num_frames = len(class_ids), len(masks)
    scale = WIDTH / masks.shape[2]
    measures = np.zeros((num_objects * num_frames, NUM_MEASURES), np.float32)
    cracks = find_cracks(masks, class_ids)
    areas, middles = find_middles(cracks, len(measures), scale)
    shapes = np.repeat(np.array(TAXONOMY.thing_groups)[class_ids - 1], num_frames)
    cells = np.flatnonzero(areas >= MIN_PIXELS)
    cells = cells[np.argsort(shapes[cells], kind="stable")]
    if len(cells):
        points = gather_points(cracks, middles, scale).take(cells)
        height = masks.shape[1] * scale
        state, clear = _fit(_start(middles[:, cells], shapes[cells], height), points)
        hulls = state.hulls()
        measures[cells, 0] = areas[cells] / hulls.areas()
        measures[cells, 1] = state.x
        measures[cells, 2] = state.y
        measures[cells, 3:8] = _uncertain(state, hulls, points, clear)
        measures[cells, 8:] = _lost(hulls, masks, class_ids, cells)
    return measures.reshape(num_objects, num_frames, NUM_MEASURES)


class _State(NamedTuple):
    """Where objects are, float32 ``(B,)``: first cubes, then spheres, then cylinders.

    Attributes:
        x: of the place, meters.
        y: of the place, meters.
        yaw: radians.
        cubes: how many there are.
        round: how many cubes and spheres there are.
    """

    x: np.ndarray
    y: np.ndarray
    yaw: np.ndarray
    cubes: int
    round: int

    def hulls(self) -> Hulls:
        """Return the silhouettes."""
        x, y, yaw = self.x[:, None], self.y[:, None], self.yaw[:, None]
        first, second = self.cubes, self.round
        return _join(
            project_cubes(x[:first], y[:first], yaw[:first], SPLITS),
            project_spheres(x[first:second], y[first:second]),
            project_cylinders(x[second:], y[second:]),
        )

    def plain_hulls(self) -> Hulls:
        """Return the silhouettes, cubes as if they were cylinders."""
        x, y = self.x[:, None], self.y[:, None]
        first, second = self.cubes, self.round
        return _join(
            project_cylinders(x[:first], y[:first]),
            project_spheres(x[first:second], y[first:second]),
            project_cylinders(x[second:], y[second:]),
        )

    def move(self, step: np.ndarray) -> "_State":
        """Return the objects moved and turned by steps ``(B, 3)``."""
        x, y, yaw = step.astype(np.float32).T
        return self._replace(x=self.x + x, y=self.y + y, yaw=self.yaw + yaw)


def _join(*parts: Hulls) -> Hulls:
    return Hulls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _start(middles: np.ndarray, shapes: np.ndarray, height: float) -> _State:
    """Return objects at the places where the camera sees the middles of their masks."""
    camera = Camera()
    rays = camera.rays(middles[0] + WIDTH / 2, middles[1] + WIDTH / 2, WIDTH, WIDTH)
    length = (camera.position[2] - RADIUS) / np.maximum(-rays[:, 2], 0.1)
    x, y = (rays[:, :2].T * length).astype(np.float32)
    cubes, spheres, _ = np.bincount(shapes, minlength=3).tolist()
    return _State(x, y, np.zeros_like(x), cubes, cubes + spheres)


def _fit(state: _State, points: Points) -> tuple[_State, np.ndarray]:
    """Fit silhouettes to outlines.

    Returns:
        the objects at the places and yaws at which they fit best; and for each how clearly its yaw
        fits better than others, 0 to 1, ``(B,)``, and 0 if it has none.
    """
    for rule in _ROUGH:
        state, _ = _step(state, state.plain_hulls(), points, rule)
    clear = np.zeros_like(state.x)
    if state.cubes:
        state, clear[: state.cubes] = _find_yaws(state, points)
    for rule in _FINE:
        state, _ = _step(state, state.hulls(), points, rule)
    return state, clear


def _find_yaws(state: _State, points: Points) -> tuple[_State, np.ndarray]:
    """Return the objects with rough yaws of the cubes, and how clear these are."""
    cubes, tries = state.cubes, len(_TRIED_YAWS)
    which = np.repeat(np.arange(cubes), tries)
    yaws = np.tile(_TRIED_YAWS, cubes).astype(np.float32)
    tried = _State(state.x[which], state.y[which], yaws, len(which), len(which))
    points = points.take(which)
    for rule in _TURNING:
        before = tried
        hulls = project_cubes(tried.x[:, None], tried.y[:, None], tried.yaw[:, None])
        tried, costs = _step(tried, hulls, points, rule)
    costs = costs.reshape(cubes, tries)
    best = np.argmin(costs, axis=1)[:, None]
    lowest = np.take_along_axis(costs, best, axis=1)
    length = points.weights.sum(1).reshape(cubes, tries)[:, :1]
    likely = np.exp((lowest - costs) / (2 * _error(lowest, length)))
    yaws = before.yaw.reshape(cubes, tries)
    turns = np.cos(4 * (yaws - np.take_along_axis(yaws, best, axis=1)))
    clear = (likely * turns).sum(1) / likely.sum(1)
    chosen = best[:, 0] + tries * np.arange(cubes)
    x, y, yaw = (
        np.concatenate([found[chosen], values[cubes:]])
        for found, values in zip(tried[:3], state[:3], strict=True)
    )
    return state._replace(x=x, y=y, yaw=yaw), np.maximum(clear, 0)


def _error(cost: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return the variance of an outline's points, in square pixels.

    Args:
        cost: sum of squared distances over the outline, times their weights.
        length: sum of the weights.
    """
    length = np.maximum(length, 1)
    seen = _OWN_ERROR**2 + _SEEN_ERROR**2 * cost / length
    return seen * (1 + (_SHORT / length) ** 2)


def _step(state: _State, hulls: Hulls, points: Points, rule: _Rule) -> tuple[_State, np.ndarray]:
    """Return the objects a Gauss-Newton step further, and how badly they fitted before it, (B,)."""
    misfit, weights = _compare(hulls, points, rule)
    products = (misfit.rows * weights[:, None]) @ misfit.rows.swapaxes(1, 2)
    step = np.linalg.solve(products[:, :3, :3] + _PRIOR, -products[:, :3, 3:])[..., 0]
    return state.move(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)), products[:, 3, 3]


def _compare(hulls: Hulls, points: Points, rule: _Rule) -> tuple[Misfit, np.ndarray]:
    """Return how points lie to silhouettes, and how much each counts, ``(B, P)``."""
    misfit = measure_misfit(hulls, points.x, points.y, points.pushed(rule.push))
    distance = misfit.rows[:, 3]
    weights = points.weights / (1 + (distance * (1 / rule.tolerance)) ** 2)
    weights[points.one_sided & (distance < 0)] = 0
    return misfit, weights


def _uncertain(state: _State, hulls: Hulls, points: Points, clear: np.ndarray) -> np.ndarray:
    """Return measures 3 to 7: yaws and covariances.

    Args:
        state: the objects where they were found.
        hulls: their silhouettes.
        points: their outlines.
        clear: how clear their yaws are, 0 to 1, ``(B,)``.
    """
    misfit, weights = _compare(hulls, points, _FINE[-1])
    slopes = misfit.rows[:, :3]
    weighted = slopes * weights[:, None]
    inverse = np.linalg.inv(weighted @ slopes.swapaxes(1, 2) + _PRIOR)
    modes = np.stack([np.ones_like(weights), misfit.normal_x, misfit.normal_y], axis=2)
    shift = inverse @ (weighted @ modes) * _COMMON_ERRORS
    cost = (weights * misfit.rows[:, 3] ** 2).sum(1)
    error = _error(cost, weights.sum(1))
    covariance = inverse * error[:, None, None] + shift @ shift.swapaxes(1, 2)
    certain = np.exp(-8 * covariance[:, 2, 2]) * clear
    spread = covariance[:, 0, 0] + covariance[:, 1, 1]
    covariance *= np.minimum(1, _LARGEST_VARIANCE / spread)[:, None, None]
    return np.stack(
        [
            certain * np.cos(4 * state.yaw),
            certain * np.sin(4 * state.yaw),
            covariance[:, 0, 0],
            covariance[:, 0, 1],
            covariance[:, 1, 1],
        ],
        axis=1,
    )


def _lost(hulls: Hulls, masks: np.ndarray, class_ids: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return measures 8 and 9: shares of outlines outside of the picture and at other objects."""
    num_frames, height, width = masks.shape
    across, down = following(hulls.x) - hulls.x, following(hulls.y) - hulls.y
    length = np.hypot(across, down)
    # A pixel outside of the middle of each side.
    x = hulls.x + across / 2 + down / length
    y = hulls.y + down / 2 - across / length
    column = np.floor(x * (width / WIDTH) + width / 2).astype(np.int64)
    row = np.floor(y * (width / WIDTH) + height / 2).astype(np.int64)
    gone = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    column, row = np.where(gone, 0, column), np.where(gone, 0, row)
    slot, frame = np.divmod(cells, num_frames)
    label = masks[frame[:, None], row, column]
    other = ~gone & (label != 0) & (label != class_ids[slot, None])
    return np.stack([gone * length, other * length], 2).sum(1) / length.sum(1)[:, None]
