"""The engine that installs everywhere: MuJoCo, with Bullet's drag, and contacts fitted to Bullet's.

MuJoCo has no restitution: objects that touch are pushed apart by a damped spring. As its forces are
scaled by the masses, the damping alone settles how fast objects separate.
"""

import itertools

import mujoco
import numpy as np

from vps_d2.data.synthetic.law import HALF_SIZE, REACH, Law, Motion, Start
from vps_d2.data.world import GRAVITY, STEP_SECONDS

__all__ = ["run_mujoco"]

_STIFFNESS = 10_000.0
"""Of the springs, per second squared: contacts take eight steps."""
_RUB = 0.03
"""Coefficient of friction between cubes and cylinders; spheres rub at nothing. Fitted, as is the
next, to scenes of CLEVRER."""
_SHARE = 0.625
"""Of the bounce that the law says: in Bullet, where in its steps objects meet scatters the bounce
between nothing and all of it."""
_SIZES = {
    "cube": f'type="box" size="{HALF_SIZE} {HALF_SIZE} {HALF_SIZE}"',
    "sphere": f'type="sphere" size="{REACH}"',
    "cylinder": f'type="cylinder" size="{HALF_SIZE} {HALF_SIZE}"',
}


def run_mujoco(start: Start, law: Law, num_frames: int, steps: int) -> Motion:
    """Simulate objects on a floor.

    Args:
        start: the objects in the first frame.
        law: by which they move.
        num_frames: T, with the first.
        steps: of the simulation between two frames.
    """
    model = mujoco.MjModel.from_xml_string(_model_xml(start, law))
    data = mujoco.MjData(model)
    data.qpos.reshape(-1, 7)[:] = np.hstack([start.positions, start.quaternions])
    velocities = data.qvel.reshape(-1, 6)
    velocities[:, :3] = start.velocities
    # MuJoCo's spins are around the axes of the object.
    velocities[:, 3:] = _turn(start.quaternions * (1, -1, -1, -1), start.spins)
    inertia = model.dof_M0.reshape(-1, 6)
    # MuJoCo's own torsional friction would weaken that which slows objects down.
    brake = law.spin_friction * GRAVITY * start.masses * [s != "sphere" for s in start.shapes]
    force = data.qfrc_applied.reshape(-1, 6)
    states = np.zeros((num_frames, len(start.shapes), 13))
    for frame_index in range(num_frames):
        if frame_index:
            for _ in range(steps):
                speed = np.sqrt(np.einsum("ijk,ijk->ij", *[velocities.reshape(-1, 2, 3)] * 2))
                momentum = inertia * velocities
                force[:] = -law.damping * (1 + np.repeat(speed, 3, axis=1)) * momentum
                force[:, 5] -= np.clip(momentum[:, 5] / STEP_SECONDS, -brake, brake)
                mujoco.mj_step(model, data)
        states[frame_index, :, :7] = data.qpos.reshape(-1, 7)
        states[frame_index, :, 7:] = velocities
    quaternions = states[..., 3:7]
    spins = _turn(quaternions, states[..., 10:])
    return Motion(states[..., :3], quaternions, states[..., 7:10], spins)


def _turn(quaternions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., 3) turned by quaternions (..., 4), w first."""
    scalar, axis = quaternions[..., :1], quaternions[..., 1:]
    twice = 2 * np.cross(axis, vectors)
    return np.asarray(vectors + scalar * twice + np.cross(axis, twice))


def _model_xml(start: Start, law: Law) -> str:
    """Return the scene as MJCF. Nothing bounces on the floor."""
    objects, pairs = [], []
    for index, (shape, mass) in enumerate(zip(start.shapes, start.masses, strict=True)):
        objects.append(
            f'<body name="b{index}"><freejoint/>'
            f'<geom name="g{index}" {_SIZES[shape]} mass="{mass}"/></body>'
        )
        friction = 0.0 if shape == "sphere" else law.friction
        pairs.append(
            f'<pair geom1="floor" geom2="g{index}" condim="3" solref="0.02 1" '
            f'friction="{friction} {friction} 0 0 0"/>'
        )
    log_bounce = np.log(np.clip(_SHARE * law.restitution**2, 0.01, 0.99))
    share = -log_bounce / np.hypot(log_bounce, np.pi)
    damping = 2 * share * _STIFFNESS**0.5
    for first, second in itertools.combinations(range(len(objects)), 2):
        rub = 0.0 if "sphere" in (start.shapes[first], start.shapes[second]) else _RUB
        pairs.append(
            f'<pair geom1="g{first}" geom2="g{second}" condim="3" '
            f'solref="-{_STIFFNESS} -{damping}" friction="{rub} {rub} 0 0 0"/>'
        )
    return (
        f'<mujoco><option timestep="{STEP_SECONDS}" gravity="0 0 -{GRAVITY}" cone="elliptic" '
        'integrator="implicitfast"/>'
        '<default><geom contype="0" conaffinity="0"/></default>'
        '<worldbody><geom name="floor" type="plane" size="0 0 1"/>'
        f"{''.join(objects)}</worldbody><contact>{''.join(pairs)}</contact></mujoco>"
    )
