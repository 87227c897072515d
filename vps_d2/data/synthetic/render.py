"""Pictures and masks of a scene, drawn with NumPy.

Frames T, objects N, rows H, columns W; n places, of which vectors lie along the first axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vps_d2.data.synthetic.background import (
    empty_floor,
    floor_light,
    floor_tint,
    jittered_lamps,
)
from vps_d2.data.synthetic.geometry import Pose, body_poses, dot, hit_distance, local_normal
from vps_d2.data.synthetic.materials import FLOOR_GRAY, Look, Neighbor, body_look, shade
from vps_d2.data.synthetic.scene import Scene, SyntheticOptions
from vps_d2.data.world import MASK_HEIGHTS, MASK_SIZES, RADIUS, SIZES

__all__ = ["render", "render_masks"]

_SAMPLES = 3
"""Rays in a pixel's width and height."""
_BLUR = 0.4
"""Standard deviation in pixels of a frame 240 wide: the real videos were scaled and compressed."""
_NOISE = 0.45
"""Standard deviation of the real videos' pixels, in gray levels."""
_PASSING = 0.3
"""Of the roughness of outlines, what is new in each frame: the masks of real objects that rest
differ this little."""
_NEAR = 2.5
"""Meters within which objects mirror and shade each other."""


@dataclass
class _Samples:
    """Places of the picture where one object is seen, or hidden by another one.

    Args:
        index: frame, row and column in one number.
        frame_index: (n,).
        rays: in the world.
        distance: from the camera to the object, meters.
    """

    index: np.ndarray
    frame_index: np.ndarray
    rays: np.ndarray
    distance: np.ndarray

    def keep(self, chosen: np.ndarray) -> "_Samples":
        """Return some of the places."""
        return _Samples(
            self.index[chosen],
            self.frame_index[chosen],
            np.compress(chosen, self.rays, axis=1),
            self.distance[chosen],
        )


def render(scene: Scene, options: SyntheticOptions) -> tuple[np.ndarray, np.ndarray]:
    """Draw all frames of a scene.

    Args:
        scene: what there is to see.
        options: size and variation; the scene's seed settles what they leave open.

    Returns:
        frames uint8 RGB (T, H, W, 3), and masks of class numbers uint8 (T, H, W).
    """
    rng = np.random.default_rng([scene.seed, 1])
    height, width = options.height, options.width
    num_frames = len(scene.positions)
    poses = _poses(scene, np.arange(num_frames))
    lamps = jittered_lamps(options.light_jitter, rng)
    looks = [body_look(body, options.color_jitter, rng) for body in scene.bodies]
    gain = _room_light(options.light_jitter, rng)
    place = scene.camera, num_frames, poses
    frames = empty_floor(height, width) * floor_light(*place, lamps, height, width)[..., None]
    colors = [np.array(look.color, np.float32) / FLOOR_GRAY for look in looks]
    frames *= floor_tint(*place, colors, height, width)
    visible = _visible_samples(scene, poses, _SAMPLES, height, width)
    pixels, colors = [], []
    for number, (look, samples) in enumerate(zip(looks, visible, strict=True)):
        points, normals, centers = _surface(scene, poses[number], samples)
        neighbors = _neighbors(poses, looks, number, samples.frame_index)
        colors.append(shade(look, lamps, points, normals, samples.rays, centers, neighbors))
        pixels.append(_pixel_of(samples.index, height, width))
    if pixels:
        _lay_over(frames, np.concatenate(pixels), np.concatenate(colors, axis=1))
    frames *= gain
    blur = _BLUR * width / 240
    frames = np.stack([cv2.GaussianBlur(frame, (3, 3), blur) for frame in frames])
    grain = rng.standard_normal((num_frames, height, width, 1), np.float32)
    grain *= math.hypot(_NOISE, options.noise)
    frames += grain + np.float32(0.5)
    masks = _masks(scene, np.arange(num_frames), options)
    return np.clip(frames, 0, 255, out=frames).astype(np.uint8), masks


def render_masks(
    scene: Scene, options: SyntheticOptions, frame_indices: Sequence[int] | None = None
) -> np.ndarray:
    """Return the masks of ``render`` alone, uint8 (T, H, W); much faster.

    Args:
        scene: what there is to see.
        options: size and roughness.
        frame_indices: of the frames to return; None for all.
    """
    frames = np.arange(len(scene.positions)) if frame_indices is None else np.array(frame_indices)
    return _masks(scene, frames, options)


def _poses(scene: Scene, frames: np.ndarray) -> list[Pose]:
    """Return every body's pose in the frames of these indices."""
    return [
        body_poses(
            body.shape,
            body.half_size,
            scene.positions[frames, number],
            scene.quaternions[frames, number],
        )
        for number, body in enumerate(scene.bodies)
    ]


def _mask_poses(scene: Scene, frames: np.ndarray) -> list[Pose]:
    """Return the same poses for masks, which show objects a little larger and lower."""
    poses = []
    for body, pose in zip(scene.bodies, _poses(scene, frames), strict=True):
        ratio = np.divide(MASK_SIZES[body.shape], SIZES[body.shape]).astype(np.float32)
        sunk = np.array([0, 0, MASK_HEIGHTS[body.shape] - RADIUS])
        poses.append(
            replace(pose, half_size=pose.half_size * ratio, positions=pose.positions + sunk)
        )
    return poses


def _room_light(jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Return factors, float32 (3,), by which the whole picture is lighter and tinted."""
    lightness, tint = rng.normal(), rng.normal(size=3)
    return np.exp(jitter * (0.1 * lightness + 0.03 * tint)).astype(np.float32)


def _masks(scene: Scene, frames: np.ndarray, options: SyntheticOptions) -> np.ndarray:
    """Return class numbers at the centers of pixels, uint8 (T, H, W)."""
    height, width = options.height, options.width
    masks = np.zeros((len(frames), height, width), np.uint8)
    wander = None
    if options.mask_roughness:
        wander = _Wander(scene.seed, frames, options.mask_roughness, width / 240)
    visible = _visible_samples(scene, _mask_poses(scene, frames), 1, height, width, wander)
    for body, samples in zip(scene.bodies, visible, strict=True):
        masks.reshape(-1)[samples.index] = body.class_id
    return masks


@dataclass(frozen=True)
class _Wander:
    """Displaces where outlines are looked up, in smooth waves.

    A segmenter sees the same outline in the same pixels, so most of the waves belong to the picture
    and stay there; some are new in every frame.

    Args:
        seed: of the video.
        frames: indices of the frames that are drawn.
        roughness: displacement in pixels.
        scale: of the waves; 1 in a picture 240 wide.
    """

    seed: int
    frames: np.ndarray
    roughness: float
    scale: float

    def displace(
        self, number: int, frame: int, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return displaced rows and columns, in pixels, for an object in a drawn frame."""
        staying = np.random.default_rng([self.seed, 2, number])
        passing = np.random.default_rng([self.seed, 2, number, int(self.frames[frame])])
        strength = self.roughness * staying.gamma(2.0, 0.5)
        moved = [rows, columns]
        for rng, part in ((staying, 1.0), (passing, _PASSING)):
            for axis in range(2):
                waves = self._waves(rng, rows, columns)
                moved[axis] = moved[axis] + part * strength * waves
        return moved[0], moved[1]

    def _waves(self, rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return three waves with a standard deviation of 1 together."""
        total = np.zeros_like(rows)
        for direction, phase, size in zip(*rng.uniform(0, 1, (3, 3)), strict=True):
            angle, length = 2 * np.pi * direction, (5 + 15 * size) * self.scale
            along = rows * np.sin(angle) + columns * np.cos(angle)
            total += np.sin(along * (2 * np.pi / length) + 2 * np.pi * phase)
        return total / np.sqrt(1.5)


def _visible_samples(
    scene: Scene,
    poses: list[Pose],
    samples: int,
    height: int,
    width: int,
    wander: _Wander | None = None,
) -> list[_Samples]:
    """Return for every object the places of a grid where it is the nearest.

    Args:
        scene: with its camera.
        poses: of its objects.
        samples: places in a pixel's width and height.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        wander: displaces the places.
    """
    num_frames = len(poses[0].positions) if poses else 0
    rows, columns = height * samples, width * samples
    nearest = np.full(num_frames * rows * columns, np.inf, np.float32)
    owner = np.full(num_frames * rows * columns, 255, np.uint8)
    found = []
    grid = None if wander else _ray_grid(scene, rows, columns, height, width)
    for number, pose in enumerate(poses):
        hits = _trace(scene, pose, number, grid, samples, height, width, wander)
        hits = hits.keep(hits.distance < nearest[hits.index])
        nearest[hits.index] = hits.distance
        owner[hits.index] = number
        found.append(hits)
    return [hits.keep(owner[hits.index] == number) for number, hits in enumerate(found)]


def _ray_grid(scene: Scene, rows: int, columns: int, height: int, width: int) -> np.ndarray:
    """Return directions through all places of a grid, float32 (3, rows, columns)."""
    y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    rays = scene.camera.rays(x * width / columns, y * height / rows, height, width)
    return np.ascontiguousarray(np.moveaxis(rays, -1, 0), dtype=np.float32)


def _trace(
    scene: Scene,
    pose: Pose,
    number: int,
    grid: np.ndarray | None,
    samples: int,
    height: int,
    width: int,
    wander: _Wander | None,
) -> _Samples:
    """Return all places where rays meet an object."""
    rows, columns = height * samples, width * samples
    camera = np.array(scene.camera.position)
    indices, rays_in_world, rays, origins, counts = [], [], [], [], []
    margin = 3 if wander else 1
    for frame_index, window in enumerate(_windows(scene, pose, margin, height, width)):
        r0, r1, c0, c1 = (v * samples for v in window)
        if wander is None:
            assert grid is not None
            world = grid[:, r0:r1, c0:c1].reshape(3, -1)
        else:
            y, x = np.mgrid[r0:r1, c0:c1] + 0.5
            y, x = wander.displace(number, frame_index, y, x)
            world = scene.camera.rays(x, y, height, width).reshape(-1, 3).T.astype(np.float32)
        place = np.arange(r0, r1)[:, None] * columns + np.arange(c0, c1)
        indices.append(place.reshape(-1) + frame_index * rows * columns)
        inverse = pose.rotations[frame_index].T
        origin = inverse @ (camera - pose.positions[frame_index]).astype(np.float32)
        rays_in_world.append(world)
        rays.append(inverse @ world)
        origins.append(origin)
        counts.append(world.shape[1])
    starts = np.repeat(np.stack(origins, axis=1), counts, axis=1)
    frame_of = np.repeat(np.arange(len(counts)), counts)
    distance = hit_distance(pose, starts, np.concatenate(rays, axis=1))
    every = _Samples(
        np.concatenate(indices), frame_of, np.concatenate(rays_in_world, axis=1), distance
    )
    return every.keep(np.isfinite(distance))


def _windows(
    scene: Scene, pose: Pose, margin: int, height: int, width: int
) -> list[tuple[int, int, int, int]]:
    """Return for every frame the rows and columns of pixels that an object can cover."""
    num_frames = len(pose.positions)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    if pose.shape == "sphere":
        # The outline of a sphere lies a little outside its corners' cube from near by.
        reach = np.broadcast_to(corners * pose.radius, (num_frames, 8, 3))
    else:
        reach = np.einsum("tij,kj->tki", pose.rotations, corners * pose.half_size)
    seen = scene.camera.project(pose.positions[:, None] + reach, height, width)
    low, high = seen.min(axis=1), seen.max(axis=1)
    windows = []
    for frame_index in range(num_frames):
        if low[frame_index, 2] < 0.1:
            windows.append((0, 0, 0, 0))
            continue
        c0, r0 = (int(np.floor(v)) - margin for v in low[frame_index, :2])
        c1, r1 = (int(np.ceil(v)) + margin for v in high[frame_index, :2])
        r0, r1 = max(r0, 0), min(r1, height)
        c0, c1 = max(c0, 0), min(c1, width)
        windows.append((r0, r1, c0, c1) if r0 < r1 and c0 < c1 else (0, 0, 0, 0))
    return windows


def _surface(
    scene: Scene, pose: Pose, samples: _Samples
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places on an object, their normals and its centers, all (3, n), in the world."""
    camera = np.array(scene.camera.position, np.float32)[:, None]
    points = camera + samples.distance * samples.rays
    centers = np.take(pose.positions.T.astype(np.float32), samples.frame_index, axis=1)
    if pose.shape == "sphere":
        return points, local_normal(pose, points - centers), centers
    turn = np.take(np.moveaxis(pose.rotations, 0, -1), samples.frame_index, axis=2)
    local = np.stack([dot(turn[:, axis], points - centers) for axis in range(3)])
    normal = local_normal(pose, local)
    return points, np.stack([dot(turn[axis], normal) for axis in range(3)]), centers


def _neighbors(
    poses: list[Pose], looks: list[Look], number: int, frame_index: np.ndarray
) -> list[Neighbor]:
    """Return the objects that come near one, for its places in the frames given, (n,)."""
    own = poses[number].positions
    neighbors = []
    for other, (pose, look) in enumerate(zip(poses, looks, strict=True)):
        nearest = np.linalg.norm(pose.positions - own, axis=1).min()
        if other != number and nearest < _NEAR:
            centers = np.take(pose.positions.T.astype(np.float32), frame_index, axis=1)
            neighbors.append(Neighbor(centers, 1.1 * float(pose.half_size[2]), look.color))
    return neighbors


def _pixel_of(index: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the pixels, frame, row and column in one number, of places of the finer grid."""
    row, column = np.divmod(index, width * _SAMPLES)
    return np.asarray(row // _SAMPLES * width + column // _SAMPLES)


def _lay_over(frames: np.ndarray, pixels: np.ndarray, colors: np.ndarray) -> None:
    """Mix colors (3, n) of parts of pixels into frames (T, H, W, 3), in place."""
    part = 1 / _SAMPLES**2
    flat = frames.reshape(-1, 3)
    touched, number = np.unique(pixels, return_inverse=True)
    kept = 1 - part * np.bincount(number)
    for channel in range(3):
        mixed = part * np.bincount(number, colors[channel])
        flat[touched, channel] = flat[touched, channel] * kept + mixed
