"""Motion in generated videos: some objects rest, others come in, collide and slow down.

The figures below were measured on tracks of the real videos, projected onto the floor: objects
start together with the first frame at about the same speed, from near or far, and cross the middle
of the picture, where others rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vps_d2.data.synthetic.bullet import bullet_version, run_bullet
from vps_d2.data.synthetic.law import Law, Motion, Start
from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.vps import CLASS_NAMES, COLORS, MATERIALS, NUM_FRAMES, SHAPES
from vps_d2.data.world import (
    FRAME_SECONDS,
    LOG_MASS_DEVIATION,
    METERS_PER_UNIT,
    RADIUS,
    SIMULATED_SECONDS,
    SIZES,
    SPEED_UNIT,
    START_SPEEDS,
    STEPS_PER_FRAME,
    Camera,
)
from vps_d2.io.errors import UserError

__all__ = ["ENGINES", "engine_version", "find_engine", "simulate"]

_NUM_BODIES = {3: 0.08, 4: 0.22, 5: 0.35, 6: 0.35}
_SHARE_AT_REST = 0.45
"""Of the objects but two: at least one rests, and one moves."""
_STAGE_CENTER = (0.0, 9.6)
_STAGE_HALF_SIZE = 3.4
"""The square on the floor where objects rest, meters."""
_CLEARANCE = 1.15
"""Meters that the centers of two objects keep from each other at the start."""
_NEAR_START, _FAR_START = (4.5, 11.0), (11.0, 18.0)
"""Meters from their aim where moving objects start."""
_SHARE_FAR = 0.35
_SHARE_AT_OBJECT = 0.9
"""Of the moving objects, those that are aimed at one that rests, to 0.5 m."""
_AIM_ERROR = 0.5
_AIM_HALF_SIZE = 2.0


@dataclass(frozen=True)
class Engine:
    """One way to simulate what moves.

    Args:
        run: from a start, a law, a number of frames and of steps between them to the motion.
        version: of the engine, as data sets record it.
    """

    run: Callable[[Start, Law, int, int], Motion]
    version: Callable[[], str]


def _run_mujoco(start: Start, law: Law, num_frames: int, steps: int) -> Motion:
    from vps_d2.data.synthetic.mujoco_engine import run_mujoco  # imported here, as it is large

    return run_mujoco(start, law, num_frames, steps)


def _mujoco_version() -> str:
    import mujoco

    return str(mujoco.__version__)


ENGINES = {
    "mujoco": Engine(_run_mujoco, _mujoco_version),
    "bullet": Engine(run_bullet, bullet_version),
}
"""By the name that options and commands know them by."""


def find_engine(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        UserError: if there is none of this name.
    """
    if name not in ENGINES:
        raise UserError(f"there is no physics {name!r}; choose one of {', '.join(ENGINES)}.")
    return ENGINES[name]


def engine_version(name: str) -> str:
    """Return an engine's version.

    Raises:
        UserError: if there is no engine of this name, or it is not installed.
    """
    return find_engine(name).version()


def simulate(seed: int, options: SyntheticOptions | None = None) -> Scene:
    """Draw objects at random, and simulate their motion.

    Args:
        seed: of the video; the same seed gives the same motion on one version of an engine.
        options: camera_jitter moves the camera, physics_jitter changes the motion, physics is the
            engine; nothing else matters here.

    Raises:
        UserError: if the engine is not installed.
    """
    options = options or SyntheticOptions()
    rng = np.random.default_rng([seed, 0])
    # Separate random numbers: the same seed gives the same scene with and without jitter.
    factors = np.exp(options.physics_jitter * np.random.default_rng([seed, 5]).uniform(-1, 1, 4))
    speed, friction, drag, bounce = factors ** (0.05, 0.2, 0.3, 0.2)
    plain = Law()
    law = Law(plain.friction * friction, plain.damping * drag, plain.restitution * bounce)
    camera = _draw_camera(rng, options.camera_jitter)
    bodies = _draw_bodies(rng)
    places, velocities = _draw_starts(rng, len(bodies))
    start = _start(rng, bodies, places, velocities * speed)
    motion = find_engine(options.physics).run(start, law, NUM_FRAMES, STEPS_PER_FRAME)
    return Scene(
        seed,
        bodies,
        motion.positions * METERS_PER_UNIT,
        motion.quaternions,
        motion.velocities * SPEED_UNIT,
        start.masses,
        motion.spins[..., 2] * SIMULATED_SECONDS / FRAME_SECONDS,
        camera,
    )


def _start(
    rng: np.random.Generator, bodies: tuple[Body, ...], places: np.ndarray, velocities: np.ndarray
) -> Start:
    """Return bodies at (N, 2) places with (N, 2) velocities in CLEVRER's units, of any mass."""
    count = len(bodies)
    half_yaws = rng.uniform(0, math.pi, count)
    axes = np.zeros((count, 2))
    upright = np.full((count, 1), RADIUS)
    return Start(
        shapes=tuple(body.shape for body in bodies),
        masses=np.exp(rng.normal(0, LOG_MASS_DEVIATION, count)),
        positions=np.hstack([places, upright]) / METERS_PER_UNIT,
        quaternions=np.column_stack([np.cos(half_yaws), axes, np.sin(half_yaws)]),
        velocities=np.hstack([velocities, np.zeros((count, 1))]) / SPEED_UNIT,
        spins=np.zeros((count, 3)),
    )


def _draw_camera(rng: np.random.Generator, jitter: float) -> Camera:
    """Return the real videos' camera, or one near it."""
    offsets = jitter * rng.uniform(-1, 1, 4)
    real = Camera()
    return Camera(
        position=(0.0, 0.0, real.position[2] * (1 + 0.08 * offsets[0])),
        pitch=real.pitch + 0.04 * offsets[1],
        yaw=0.06 * offsets[2],
        focal_length=real.focal_length * (1 + 0.06 * offsets[3]),
    )


def _draw_bodies(rng: np.random.Generator) -> tuple[Body, ...]:
    """Return objects of different classes."""
    count = rng.choice(list(_NUM_BODIES), p=list(_NUM_BODIES.values()))
    numbers = rng.choice(len(CLASS_NAMES) - 1, count, replace=False)
    bodies = []
    for number in numbers:
        shape, rest = divmod(int(number), len(MATERIALS) * len(COLORS))
        material, color = divmod(rest, len(COLORS))
        name = SHAPES[shape]
        bodies.append(Body(name, MATERIALS[material], COLORS[color], SIZES[name]))
    return tuple(bodies)


def _draw_starts(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where objects start, (N, 2) in meters, and their velocities, (N, 2)."""
    at_rest = 1 + rng.binomial(count - 2, _SHARE_AT_REST)
    starts = np.zeros((count, 2))
    velocities = np.zeros((count, 2))
    for index in range(count):
        while True:
            if index < at_rest:
                start = _STAGE_CENTER + rng.uniform(-1, 1, 2) * _STAGE_HALF_SIZE
                velocity = np.zeros(2)
            else:
                if rng.random() < _SHARE_AT_OBJECT:
                    aim = starts[rng.integers(at_rest)] + rng.uniform(-1, 1, 2) * _AIM_ERROR
                else:
                    aim = _STAGE_CENTER + rng.uniform(-1, 1, 2) * _AIM_HALF_SIZE
                distance = rng.uniform(*(_FAR_START if rng.random() < _SHARE_FAR else _NEAR_START))
                angle = rng.uniform(0, 2 * math.pi)
                heading = np.array([math.cos(angle), math.sin(angle)])
                start = aim - distance * heading
                velocity = rng.uniform(*START_SPEEDS) * heading
            gaps = np.linalg.norm(starts[:index] - start, axis=1)
            if not len(gaps) or gaps.min() >= _CLEARANCE:
                break
        starts[index], velocities[index] = start, velocity
    return starts, velocities
