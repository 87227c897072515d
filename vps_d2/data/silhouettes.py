"""Where objects are on the floor, and how they are turned, measured from their silhouettes.

All objects of the vps data sets have one size, the camera never moves and the floor is flat, so a
silhouette is a known function of an object's place and, if it is a cube, of its yaw. Both are found
by fitting the silhouette to the outline of the object's mask, for all objects and frames of a video
at once. Where the picture's border or a nearer object cuts a mask off, its edge is no outline: it
only says that the silhouette reaches at least as far. Nothing here imports PyTorch.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns; ``B`` objects in frames, ``P``
points of an outline, ``M`` corners of a silhouette. Points are columns and rows of pictures 240
pixels wide; the center of the first pixel is (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

from vps_d2.data.hulls import Hulls, project_cubes, project_cylinders, project_spheres
from vps_d2.data.outlines import WIDTH, Points, areas_and_middles, find_cracks, gather_points
from vps_d2.data.vps import TAXONOMY
from vps_d2.data.world import RADIUS, Camera

NUM_MEASURES = 10
"""Of an object in a frame."""

_MIN_PIXELS = 12
"""In a picture 240 wide; smaller patches are a segmenter's mistakes more often than objects."""
_TRIED_YAWS = np.arange(6) * (np.pi / 12)
_TOLERANCES = (4.0, 2.0)
"""Residual in pixels beyond which a point counts less, in the first steps and in the last ones."""
_LONGEST_STEP = np.array([0.8, 0.8, 0.3])
_PRIOR = np.diag([0.05, 0.05, 0.05])
_CAMERA = Camera()

# The errors of an outline, in pixels: of every point by itself, and of the whole outline together,
# by which it is grown, moved right and moved down.
_POINT_ERROR = 0.45
_COMMON_ERRORS = (0.15, 0.1, 0.1)


def measure_silhouettes(masks: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Measure objects in all frames of a video.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        class_ids: of the objects to measure, ``(K,)``, all different.

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
    measures = np.zeros((num_objects * num_frames, NUM_MEASURES), np.float32)
    height = masks.shape[1] * WIDTH / masks.shape[2]
    cracks = find_cracks(masks, class_ids)
    areas, middles = areas_and_middles(cracks, num_objects * num_frames)
    shapes = np.repeat(np.array(TAXONOMY.thing_groups)[class_ids - 1], num_frames)
    cells = np.flatnonzero(areas >= _MIN_PIXELS)
    cells = cells[np.argsort(shapes[cells], kind="stable")]
    if len(cells):
        points = gather_points(cracks, middles, height).take(cells)
        state = _start(middles[cells], shapes[cells], height)
        state = _fit(state, points)
        hulls = state.hulls()
        measures[cells, 0] = areas[cells] / _areas(hulls)
        measures[cells, 1:3] = state.places
        measures[cells, 3:8] = _uncertain(state, hulls, points)
        measures[cells, 8:] = _lost(hulls, masks, class_ids, cells)
    return measures.reshape(num_objects, num_frames, NUM_MEASURES)


class _State(NamedTuple):
    """Where objects are: first cubes, then spheres, then cylinders.

    Attributes:
        places: ``(B, 2)``, meters.
        yaws: ``(B,)``, radians.
        counts: how many there are of each shape.
        height: of the pictures, in pixels.
    """

    places: np.ndarray
    yaws: np.ndarray
    counts: tuple[int, int, int]
    height: float

    def hulls(self) -> Hulls:
        """Return the silhouettes."""
        cubes, spheres, _ = self.counts
        ends = cubes, cubes + spheres
        parts = [
            project_cubes(self.places[: ends[0]], self.yaws[: ends[0]], self.height, 4),
            project_spheres(self.places[ends[0] : ends[1]], self.height),
            project_cylinders(self.places[ends[1] :], self.height),
        ]
        return Hulls(*map(np.concatenate, zip(*parts, strict=True)))

    def round_hulls(self) -> Hulls:
        """Return the silhouettes, cubes as if they were cylinders."""
        cubes, spheres, _ = self.counts
        return self._replace(counts=(0, spheres, 0))._round(cubes)

    def _round(self, cubes: int) -> Hulls:
        spheres = slice(cubes, cubes + self.counts[1])
        hulls = project_cylinders(self.places, self.height)
        balls = project_spheres(self.places[spheres], self.height)
        hulls.corners[spheres], hulls.slopes[spheres] = balls
        return hulls


def _start(middles: np.ndarray, shapes: np.ndarray, height: float) -> _State:
    """Return objects at the places where the camera sees the middles of their masks."""
    rays = _CAMERA.rays(middles[:, 0], middles[:, 1], height, WIDTH)
    length = (_CAMERA.position[2] - RADIUS) / np.maximum(-rays[:, 2], 0.1)
    places = rays[:, :2] * length[:, None]
    counts = np.bincount(shapes, minlength=3)
    return _State(places, np.zeros(len(places)), tuple(counts.tolist()), height)


def _fit(state: _State, points: Points) -> _State:
    """Return the objects at the places and yaws at which silhouettes fit outlines best."""
    for _ in range(2):
        state, _ = _step(state, state.round_hulls(), points, _TOLERANCES[0], turn=False)
    cubes = state.counts[0]
    if cubes:
        state.yaws[:cubes], state.places[:cubes] = _find_yaws(state, points)
    for _ in range(4):
        state, _ = _step(state, state.hulls(), points, _TOLERANCES[1], turn=True)
    return state


def _find_yaws(state: _State, points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return rough yaws of cubes, and their places."""
    cubes, tries = state.counts[0], len(_TRIED_YAWS)
    which = np.repeat(np.arange(cubes), tries)
    tried = _State(
        state.places[which], np.tile(_TRIED_YAWS, cubes), (len(which), 0, 0), state.height
    )
    points = points.take(which)
    for _ in range(2):
        hulls = project_cubes(tried.places, tried.yaws, state.height)
        tried, cost = _step(tried, hulls, points, _TOLERANCES[0], turn=True)
    best = np.argmin(cost.reshape(cubes, tries), axis=1) + tries * np.arange(cubes)
    return tried.yaws[best], tried.places[best]


def _step(
    state: _State, hulls: Hulls, points: Points, tolerance: float, turn: bool
) -> tuple[_State, np.ndarray]:
    """Return the objects a Gauss-Newton step further, and how badly they fitted before it, (B,)."""
    distance, slope, _ = _residuals(hulls, points)
    weight = points.weights / (1 + (distance / tolerance) ** 2)
    weight = np.where(points.one_sided & (distance < 0), 0, weight)
    cost = (weight * distance**2).sum(1)
    weighted = slope * weight[..., None]
    normal = weighted.swapaxes(1, 2) @ slope + _PRIOR
    gradient = (weighted.swapaxes(1, 2) @ distance[..., None])[..., 0]
    if not turn:
        gradient[:, 2] = 0
    step = np.linalg.solve(normal, -gradient[..., None])[..., 0]
    step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
    moved = state._replace(places=state.places + step[:, :2], yaws=state.yaws + step[:, 2])
    return moved, cost


def _residuals(hulls: Hulls, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far points are outside of silhouettes.

    Returns:
        signed distances in pixels, ``(B, P)``; their derivatives by place and yaw, ``(B, P, 3)``;
        and the outward normals there, ``(B, P, 2)``.
    """
    corners, slopes = hulls
    count, size = corners.shape[:2]
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(edges, axis=2)
    normals = np.stack([edges[..., 1], -edges[..., 0]], axis=-1) / lengths[..., None]
    offsets = (normals * corners).sum(2)
    distances = points.places @ normals.swapaxes(1, 2) - offsets[:, None]
    nearest = distances.argmax(2)
    first = nearest + size * np.arange(count)[:, None]
    second = (nearest + 1) % size + size * np.arange(count)[:, None]
    distance = np.take_along_axis(distances, nearest[..., None], 2)[..., 0]
    normal = normals.reshape(-1, 2)[first]
    from_corner = points.places - corners.reshape(-1, 2)[first]
    along = (from_corner * edges.reshape(-1, 2)[first]).sum(2) / lengths.reshape(-1)[first] ** 2
    share = np.clip(along, 0, 1)[..., None]
    # The derivatives of the corners along the normals of their edges: those of the distance.
    ends = (normals[:, :, None] @ slopes)[:, :, 0].reshape(-1, 3)
    after = (normals[:, :, None] @ np.roll(slopes, -1, axis=1))[:, :, 0].reshape(-1, 3)
    slope = -(ends[first] * (1 - share) + after[first] * share)
    return distance, slope, normal


def _areas(hulls: Hulls) -> np.ndarray:
    """Return the areas of silhouettes, ``(B,)``."""
    x, y = np.moveaxis(hulls.corners, 2, 0)
    return (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1) / 2


def _uncertain(state: _State, hulls: Hulls, points: Points) -> np.ndarray:
    """Return measures 3 to 7: yaws and covariances."""
    distance, slope, normal = _residuals(hulls, points)
    weight = points.weights / (1 + (distance / _TOLERANCES[1]) ** 2)
    weight = np.where(points.one_sided & (distance < 0), 0, weight)
    weighted = (slope * weight[..., None]).swapaxes(1, 2)
    inverse = np.linalg.inv(weighted @ slope + _PRIOR)
    modes = np.concatenate([np.ones((*distance.shape, 1)), normal], axis=2)
    shift = inverse @ (weighted @ modes) * np.array(_COMMON_ERRORS)
    covariance = inverse * _POINT_ERROR**2 + shift @ shift.swapaxes(1, 2)
    certain = np.exp(-8 * covariance[:, 2, 2])
    certain[state.counts[0] :] = 0
    return np.stack(
        [
            certain * np.cos(4 * state.yaws),
            certain * np.sin(4 * state.yaws),
            covariance[:, 0, 0],
            covariance[:, 0, 1],
            covariance[:, 1, 1],
        ],
        axis=1,
    )


def _lost(hulls: Hulls, masks: np.ndarray, class_ids: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return measures 8 and 9: shares of outlines outside of the picture and at other objects."""
    num_frames, height, width = masks.shape
    corners = hulls.corners
    after = np.roll(corners, -1, axis=1)
    edges = after - corners
    lengths = np.linalg.norm(edges, axis=2)
    # A pixel outside of the middle of each edge.
    outward = np.stack([edges[..., 1], -edges[..., 0]], axis=-1) / lengths[..., None]
    spots = np.floor(((corners + after) / 2 + outward) * (width / WIDTH)).astype(np.int64)
    column, row = np.moveaxis(spots, 2, 0)
    gone = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    column, row = np.where(gone, 0, column), np.where(gone, 0, row)
    slot, frame = np.divmod(cells, num_frames)
    label = masks[frame[:, None], row, column]
    other = ~gone & (label != 0) & (label != class_ids[slot, None])
    return np.stack([gone * lengths, other * lengths], 2).sum(1) / lengths.sum(1)[:, None]
