"""Motion in generated videos: some objects rest, others come in, collide and slow down.

The figures below were measured on tracks of the real videos, projected onto the floor: objects
start together with the first frame at about the same speed, from near or far, and cross the middle
of the picture, where others rest.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.vps import CLASS_NAMES, COLORS, MATERIALS, NUM_FRAMES, SHAPES
from vps_d2.data.world import FRAME_SECONDS, SIZES, Camera

__all__ = ["simulate"]

_STEPS_PER_FRAME = 60
_NUM_BODIES = {3: 0.08, 4: 0.22, 5: 0.35, 6: 0.35}
_SHARE_AT_REST = 0.45
"""Of the objects but two: at least one rests, and one moves."""
_STAGE_CENTER = (0.0, 9.6)
_STAGE_HALF_SIZE = 3.4
"""The square on the floor where objects rest, meters."""
_CLEARANCE = 1.15
"""Meters that the centers of two objects keep from each other at the start."""
_SPEED = (3.65, 4.1)
"""Initial speed of moving objects, in meters per second."""
_NEAR_START, _FAR_START = (4.5, 11.0), (11.0, 18.0)
"""Meters from their aim where moving objects start."""
_SHARE_FAR = 0.35
_SHARE_AT_OBJECT = 0.9
"""Of the moving objects, those that are aimed at one that rests, to 0.5 m."""
_AIM_ERROR = 0.5
_AIM_HALF_SIZE = 2.0
_FLOOR_FRICTION = {"cube": (0.0215, 0.0250), "sphere": (0.0, 0.001), "cylinder": (0.0215, 0.0250)}
"""In the real videos, sliding objects lose 0.23 m/s and a tenth of their speed per second, rubber
and metal alike; spheres only lose a share of their speed, from the start and after collisions."""
_DRAG = {"cube": 0.1, "sphere": 0.065, "cylinder": 0.1}
"""Share of the speed that is lost per second, besides friction."""


class _Contact(NamedTuple):
    """How two objects meet: the range of the damping of their contact, and how they rub."""

    damping: tuple[float, float]
    friction: float


_CONTACTS = {
    ("cube", "cube"): _Contact((70, 150), 0.3),
    ("cube", "sphere"): _Contact((150, 210), 0.06),
    ("cube", "cylinder"): _Contact((70, 110), 0.3),
    ("sphere", "sphere"): _Contact((150, 220), 0.02),
    ("sphere", "cylinder"): _Contact((200, 250), 0.03),
    ("cylinder", "cylinder"): _Contact((70, 110), 0.3),
}
"""In the real videos, objects separate at a tenth to a quarter of the speed at which they meet, and
spheres have little friction with others."""


def simulate(seed: int, options: SyntheticOptions | None = None) -> Scene:
    """Draw objects at random, and simulate their motion with MuJoCo.

    Args:
        seed: of the video; the same seed gives the same motion on one version of MuJoCo.
        options: camera_jitter moves the camera, physics_jitter changes the motion, nothing else
            matters here.
    """
    import mujoco  # imported here, as only the generator needs it

    options = options or SyntheticOptions()
    rng = np.random.default_rng([seed, 0])
    # Separate random numbers: the same seed gives the same scene with and without jitter.
    factors = np.exp(options.physics_jitter * np.random.default_rng([seed, 5]).uniform(-1, 1, 4))
    speed, friction, drag, bounce = factors ** (0.1, 0.5, 0.7, 0.5)
    camera = _draw_camera(rng, options.camera_jitter)
    bodies = _draw_bodies(rng)
    starts, velocities = _draw_starts(rng, len(bodies))
    yaws = rng.uniform(0, 2 * math.pi, len(bodies))
    ranges = np.array([_FLOOR_FRICTION[body.shape] for body in bodies])
    frictions = rng.uniform(*ranges.T) * friction
    model = mujoco.MjModel.from_xml_string(_model_xml(bodies, frictions, rng.random(), bounce))
    drags = np.repeat([_DRAG[body.shape] for body in bodies], 6)
    model.dof_damping[:] = drags * drag * model.dof_M0
    data = mujoco.MjData(model)
    for index, body in enumerate(bodies):
        half_yaw = yaws[index] / 2
        orientation = (math.cos(half_yaw), 0, 0, math.sin(half_yaw))
        data.qpos[7 * index : 7 * index + 7] = (*starts[index], body.half_size[2], *orientation)
        data.qvel[6 * index : 6 * index + 2] = velocities[index] * speed
    states = []
    for frame_index in range(NUM_FRAMES):
        if frame_index:
            mujoco.mj_step(model, data, _STEPS_PER_FRAME)
        states.append(
            np.hstack([data.qpos.reshape(-1, 7).copy(), data.qvel.reshape(-1, 6)[:, :3].copy()])
        )
    history = np.stack(states)
    return Scene(seed, bodies, history[..., :3], history[..., 3:7], history[..., 7:], camera)


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
                velocity = rng.uniform(*_SPEED) * heading
            gaps = np.linalg.norm(starts[:index] - start, axis=1)
            if not len(gaps) or gaps.min() >= _CLEARANCE:
                break
        starts[index], velocities[index] = start, velocity
    return starts, velocities


def _model_xml(
    bodies: Sequence[Body], frictions: np.ndarray, softness: float, bounce: float
) -> str:
    """Return the scene as MJCF. Each kind of contact has its own law; nothing bounces on the floor.

    Args:
        bodies: the objects.
        frictions: of the floor with each of them.
        softness: where in the range of dampings the contacts of objects are, 0-1.
        bounce: factor of these dampings; the smaller, the more objects bounce.
    """
    kinds = {"cube": "box", "sphere": "sphere", "cylinder": "cylinder"}
    objects, pairs = [], []
    for index, (body, friction) in enumerate(zip(bodies, frictions, strict=True)):
        size = body.half_size
        extent = {"cube": size, "sphere": size[:1], "cylinder": (size[0], size[2])}[body.shape]
        objects.append(
            f'<body name="b{index}"><freejoint/><geom name="g{index}" type="{kinds[body.shape]}" '
            f'size="{" ".join(map(str, extent))}" mass="1"/></body>'
        )
        pairs.append(
            f'<pair geom1="floor" geom2="g{index}" condim="6" solref="0.02 1" '
            f'friction="{friction} {friction} 0.005 0.0001 0.0001"/>'
        )
    for first, second in itertools.combinations(range(len(bodies)), 2):
        shapes = sorted((bodies[first].shape, bodies[second].shape), key=SHAPES.index)
        (low, high), rub = _CONTACTS[shapes[0], shapes[1]]
        damping = (low + softness * (high - low)) * bounce
        pairs.append(
            f'<pair geom1="g{first}" geom2="g{second}" condim="3" solref="-10000 -{damping}" '
            f'friction="{rub} {rub} 0.005 0.0001 0.0001"/>'
        )
    return (
        f'<mujoco><option timestep="{FRAME_SECONDS / _STEPS_PER_FRAME}" cone="elliptic" '
        'integrator="implicitfast"/>'
        '<default><geom contype="0" conaffinity="0"/></default>'
        '<worldbody><geom name="floor" type="plane" size="0 0 1"/>'
        f"{''.join(objects)}</worldbody><contact>{''.join(pairs)}</contact></mujoco>"
    )
