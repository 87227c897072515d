"""The engine that simulated CLEVRER: PyBullet, which has wheels up to Python 3.11."""

import itertools
from functools import cache
from types import ModuleType

import numpy as np

from vps_d2.data.synthetic.law import HALF_SIZE, REACH, Law, Motion, Start
from vps_d2.data.world import GRAVITY, STEP_SECONDS
from vps_d2.io.errors import UserError

__all__ = ["bullet_version", "open_bullet", "run_bullet"]

_EDGES = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_CORNERS = {
    "cube": [[x, y, z] for x, y, z in itertools.product((-HALF_SIZE, HALF_SIZE), repeat=3)],
    "cylinder": [
        [float(HALF_SIZE * np.cos(angle)), float(HALF_SIZE * np.sin(angle)), z]
        for z in (-HALF_SIZE, HALF_SIZE)
        for angle in _EDGES
    ],
}
"""Cubes and cylinders are the hulls of these: so replays come nearer to CLEVRER than with Bullet's
own boxes and cylinders."""


@cache
def open_bullet() -> tuple[ModuleType, int]:
    """Return PyBullet, and the world of this process in it.

    Raises:
        UserError: if PyBullet is not installed.
    """
    try:
        import pybullet  # an extra, which only the generator uses
    except ImportError as error:
        raise UserError(
            "PyBullet, which --physics bullet needs, is not installed; install it on Python 3.11 "
            "or older (pip install 'vps_d2[bullet]'), or leave out --physics."
        ) from error
    return pybullet, pybullet.connect(pybullet.DIRECT)


def bullet_version() -> str:
    """Return the number of PyBullet's interface, by which its behavior is known.

    Raises:
        UserError: if PyBullet is not installed.
    """
    pybullet, _ = open_bullet()
    return str(pybullet.getAPIVersion())


def run_bullet(start: Start, law: Law, num_frames: int, steps: int) -> Motion:
    """Simulate objects on a floor.

    Args:
        start: the objects in the first frame.
        law: by which they move.
        num_frames: T, with the first.
        steps: of the simulation between two frames.

    Raises:
        UserError: if PyBullet is not installed.
    """
    pybullet, world = open_bullet()
    pybullet.resetSimulation(physicsClientId=world)
    pybullet.setTimeStep(STEP_SECONDS, physicsClientId=world)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=world)
    plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=world)
    floor = pybullet.createMultiBody(0, plane, physicsClientId=world)
    # Bullet multiplies the friction of two bodies.
    pybullet.changeDynamics(floor, -1, lateralFriction=1.0, restitution=0.0, physicsClientId=world)
    numbers = [_add(pybullet, world, start, law, index) for index in range(len(start.shapes))]
    states = np.zeros((num_frames, len(numbers), 13))
    for frame_index in range(num_frames):
        if frame_index:
            for _ in range(steps):
                pybullet.stepSimulation(physicsClientId=world)
        for index, number in enumerate(numbers):
            place = pybullet.getBasePositionAndOrientation(number, physicsClientId=world)
            speed = pybullet.getBaseVelocity(number, physicsClientId=world)
            states[frame_index, index] = np.hstack([*place, *speed])
    quaternions = states[..., [6, 3, 4, 5]]
    return Motion(states[..., :3], quaternions, states[..., 7:10], states[..., 10:])


def _add(pybullet: ModuleType, world: int, start: Start, law: Law, index: int) -> int:
    """Add an object to the world, and return its number there."""
    shape = start.shapes[index]
    if shape == "sphere":
        # Bullet adds a margin to other shapes by itself, and none to spheres.
        size = {"shapeType": pybullet.GEOM_SPHERE, "radius": REACH}
    else:
        size = {"shapeType": pybullet.GEOM_MESH, "vertices": _CORNERS[shape]}
    number = pybullet.createMultiBody(
        float(start.masses[index]),
        pybullet.createCollisionShape(**size, physicsClientId=world),
        basePosition=start.positions[index].tolist(),
        baseOrientation=start.quaternions[index, [1, 2, 3, 0]].tolist(),
        physicsClientId=world,
    )
    pybullet.resetBaseVelocity(
        number,
        start.velocities[index].tolist(),
        start.spins[index].tolist(),
        physicsClientId=world,
    )
    slides = shape == "sphere"
    pybullet.changeDynamics(
        number,
        -1,
        lateralFriction=0.0 if slides else law.friction,
        spinningFriction=0.0 if slides else law.spin_friction,
        restitution=law.restitution,
        linearDamping=law.damping,
        angularDamping=law.damping,
        physicsClientId=world,
    )
    return int(number)
