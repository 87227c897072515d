"""How well an engine follows CLEVRER: true states are replayed, and the ends compared.

CLEVRER's annotations (``annotation_<n>.json``) hold every object's true motion in 128 frames.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vps_d2.data.synthetic.law import Law, Motion, Start
from vps_d2.data.synthetic.physics import find_engine
from vps_d2.data.vps import SHAPES
from vps_d2.data.world import METERS_PER_UNIT
from vps_d2.io.errors import UserError

__all__ = ["KINDS", "Replay", "TrueScene", "read_annotation", "replay"]

KINDS = ("rests", "moves", "hit")
"""What becomes of an object: it rests, moves without being hit, or is hit at least once."""
STEPS = 7
"""Of the simulation between two of CLEVRER's frames."""
HORIZON = 66
"""Frames of CLEVRER between a state and what came of it: 11 frames of the videos."""
_STRIDE = 10
_AT_REST = 0.05
"""Units a second up to which an object rests."""
_JUMP = 0.05
"""Change of the velocity within a frame, in units a second, from which on it is a hit."""


@dataclass(frozen=True)
class TrueScene:
    """One scene of CLEVRER.

    Args:
        shapes: of the N objects.
        motion: true, in 128 frames.
    """

    shapes: tuple[str, ...]
    motion: Motion

    def start(self, frame_index: int) -> Start:
        """Return the state in a frame, with equal masses, as the true ones are not known."""
        positions, quaternions, velocities, spins = (part[frame_index] for part in self.motion)
        masses = np.ones(len(self.shapes))
        return Start(self.shapes, masses, positions, quaternions, velocities, spins)

    def kinds(self, first: int, last: int) -> np.ndarray:
        """Return the kind of every object between two frames, (N,) indices of KINDS."""
        velocities = self.motion.velocities[first : last + 1, :, :2]
        jumps = np.linalg.norm(np.diff(velocities, axis=0), axis=-1).max(axis=0)
        moves = np.linalg.norm(velocities[0], axis=-1) > _AT_REST
        return np.where(jumps > _JUMP, 2, moves.astype(int))


@dataclass(frozen=True)
class Replay:
    """How far replayed objects ended from the true ones.

    Args:
        errors: meters of this project, float64 (n,).
        kinds: of the objects, (n,) indices of KINDS.
        num_runs: simulations that gave them.
    """

    errors: np.ndarray
    kinds: np.ndarray
    num_runs: int

    def count(self, kind: str) -> int:
        """Return how many objects of a kind were replayed."""
        return int((self.kinds == KINDS.index(kind)).sum())

    def quantile(self, kind: str, share: float = 0.5) -> float:
        """Return the error that this share of the objects of a kind does not exceed, meters."""
        chosen = self.errors[self.kinds == KINDS.index(kind)]
        return float(np.quantile(chosen, share)) if len(chosen) else float("nan")


def read_annotation(path: str | Path) -> TrueScene:
    """Return the motion in an annotation of CLEVRER.

    Raises:
        UserError: if the file cannot be read or holds anything else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        shapes = tuple(str(entry["shape"]) for entry in content["object_property"])
        names = ("location", "orientation", "velocity", "angular_velocity")
        frames = [
            {entry["object_id"]: np.hstack([entry[name] for name in names]) for entry in frame}
            for frame in (trajectory["objects"] for trajectory in content["motion_trajectory"])
        ]
        states = np.array([[frame[number] for number in range(len(shapes))] for frame in frames])
        if not set(shapes) <= set(SHAPES) or states.shape[1:] != (len(shapes), 12):
            raise ValueError("unknown shapes, or states that are no states")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a readable annotation of CLEVRER; choose another."
        ) from error
    positions, angles, velocities, spins = np.moveaxis(
        states.reshape(*states.shape[:2], 4, 3), 2, 0
    )
    return TrueScene(shapes, Motion(positions, _quaternions(shapes, angles), velocities, spins))


def _quaternions(shapes: Sequence[str], angles: np.ndarray) -> np.ndarray:
    """Return quaternions (..., N, 4), w first, of roll, pitch and yaw (..., N, 3)."""
    turns = Rotation.from_euler("xyz", angles.reshape(-1, 3))
    # The axis of CLEVRER's cylinders is their y, that of this project's their z.
    upright = Rotation.from_euler("x", -np.pi / 2)
    is_cylinder = np.resize([shape == "cylinder" for shape in shapes], len(turns))
    quaternions = np.where(is_cylinder[:, None], (turns * upright).as_quat(), turns.as_quat())
    return quaternions[:, [3, 0, 1, 2]].reshape(*angles.shape[:-1], 4)


def replay(
    scenes: Sequence[TrueScene], physics: str, *, law: Law | None = None, horizon: int = HORIZON
) -> Replay:
    """Simulate on from every tenth state of scenes, and measure how far from the truth it ends.

    Args:
        scenes: with their true motion.
        physics: name of the engine.
        law: by which it simulates; None for that of CLEVRER.
        horizon: frames of CLEVRER to simulate.

    Raises:
        UserError: if there is no such engine, or it is not installed.
    """
    engine = find_engine(physics)
    errors, kinds = [np.empty(0)], [np.empty(0, int)]
    for scene in scenes:
        truth = scene.motion.positions
        for first in range(0, len(truth) - horizon, _STRIDE):
            end = engine.run(scene.start(first), law or Law(), 2, STEPS * horizon).positions[-1]
            gaps = (end - truth[first + horizon])[:, :2] * METERS_PER_UNIT
            errors.append(np.linalg.norm(gaps, axis=-1))
            kinds.append(scene.kinds(first, first + horizon))
    return Replay(np.concatenate(errors), np.concatenate(kinds), len(errors) - 1)
