"""Motion in generated videos, by CLEVRER's law and one of several engines."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vps_d2.data.synthetic.bullet import bullet_version, run_bullet
from vps_d2.data.synthetic.law import Law, Motion, Start
from vps_d2.data.synthetic.scene import Scene, SyntheticOptions
from vps_d2.data.synthetic.starts import draw_bodies, draw_start
from vps_d2.data.vps import NUM_FRAMES
from vps_d2.data.world import (
    FRAME_SECONDS,
    METERS_PER_UNIT,
    SIMULATED_SECONDS,
    SPEED_UNIT,
    STEPS_PER_FRAME,
    Camera,
)
from vps_d2.io.errors import UserError

__all__ = ["ENGINES", "Engine", "engine_version", "find_engine", "simulate"]


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
    law = Law(
        plain.friction * friction,
        plain.spin_friction * friction,
        plain.damping * drag,
        plain.restitution * bounce,
    )
    camera = _draw_camera(rng, options.camera_jitter)
    bodies = draw_bodies(rng)
    start = draw_start(rng, bodies)
    start = replace(start, velocities=start.velocities * speed)
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
