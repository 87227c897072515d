"""How objects move on: straight, slowed by friction, and passing on momentum where they collide.

An interaction network (arXiv 1612.00222) stepped through time as in arXiv 2002.09405, whose
messages are impulses: what one object of a pair gets, the other loses, so momentum is kept by
design and only how hard and how elastically kinds of objects meet has to be learned.

Shapes: ``N`` videos, ``K`` objects, ``P`` pairs of objects, ``S`` frames.
"""

from typing import NamedTuple

import torch
from torch import nn

from vps_d2.data.tracks import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

_REACH = 0.82
"""Metres between the centres of two objects that touch, to begin with."""
_SHARPNESS = 30.0
"""How fast contact sets in, per metre."""


class Trajectory(NamedTuple):
    """Where objects go.

    Attributes:
        places: ``(N, K, S, 2)`` in metres.
        velocities: ``(N, K, S, 2)`` in metres a second.
        orientations: as in :class:`State`, ``(N, K, S, 2)``; shorter with time, and with pushes.
        pushed: how much each object was pushed by others so far: the sum of the changes of its
            velocity, ``(N, K, S)`` in metres a second.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    orientations: torch.Tensor
    pushed: torch.Tensor


class Motion(nn.Module):
    """Step states through time.

    Args:
        code_size: of the states.
        hidden: channels of the network of a pair.
        seconds_per_frame: time between two frames; it sets the unit of the velocities.
        substeps: steps between two frames.
    """

    def __init__(
        self,
        *,
        code_size: int = 8,
        hidden: int = 48,
        seconds_per_frame: float = FRAME_SECONDS,
        substeps: int = 4,
    ) -> None:
        super().__init__()
        self.seconds = seconds_per_frame / substeps
        self.substeps = substeps
        self.of_pair = nn.Linear(NUM_KINDS + 2 * code_size, hidden)
        self.of_motion = nn.Linear(5, hidden, bias=False)
        self.message = nn.Sequential(nn.SiLU(), mlp(hidden, hidden, 4))
        self.reach = nn.Parameter(torch.zeros(NUM_KINDS))
        self.log_mass = nn.Linear(NUM_KINDS, 1, bias=False)
        self.log_drag = nn.Parameter(torch.full((NUM_KINDS,), -1.5))
        # What sliding takes from a solid sphere's speed it adds, 5/2 times, to that of its roll.
        self.spin_up = nn.Parameter(torch.tensor(2.5))
        self.forgetting = nn.Parameter(torch.tensor([-3.0, 0.0]))
        nn.init.zeros_(self.log_mass.weight)

    def forward(self, state: State, num_frames: int) -> Trajectory:
        """Return the states after 0, 1, ... ``num_frames`` frames: ``S`` is one more."""
        first, second = torch.triu_indices(
            state.exists.shape[1], state.exists.shape[1], 1, device=state.place.device
        )
        both = (state.exists[:, first] & state.exists[:, second]).to(state.place.dtype)
        kind_sum = state.kinds[:, first] + state.kinds[:, second]
        code_sum = state.code[:, first] + state.code[:, second]
        code_gap = (state.code[:, first] - state.code[:, second]).abs()
        of_pair = self.of_pair(torch.cat([kind_sum, code_sum, code_gap], dim=-1))
        reach = _REACH + kind_sum @ self.reach
        turn = state.orientation * state.kinds[..., :1]  # of cubes
        easy = (-self.log_mass(state.kinds)).exp()
        drag = (state.kinds @ self.log_drag).exp()
        spin_up = self.spin_up * state.kinds[..., 1]  # of spheres
        place, velocity, roll = state.place, state.velocity, state.roll
        pushed = torch.zeros_like(state.friction)
        history = [(place, velocity, pushed)]
        for _ in range(num_frames):
            for _ in range(self.substeps):
                impulse = self._impulses(
                    place[:, second] - place[:, first],
                    velocity[:, second] - velocity[:, first],
                    turn[:, first] + turn[:, second],
                    reach,
                    of_pair,
                )
                impulse = impulse * both[..., None]
                change = torch.zeros_like(velocity)
                change = change.index_add(1, second, impulse).index_add(1, first, -impulse)
                change = change * easy
                velocity = velocity + change
                pushed = pushed + (change.square().sum(-1) + 1e-12).sqrt()
                # Friction works against sliding, and ends when the object rolls or rests.
                sliding = velocity - roll
                speed = (sliding.square().sum(-1) + 1e-6).sqrt()
                share = state.friction * self.seconds / speed
                share = share.minimum(1 / (1 + spin_up))[..., None] * sliding
                kept = (1 - drag * self.seconds)[..., None]
                velocity = (velocity - share) * kept
                roll = (roll + spin_up[..., None] * share) * kept
                place = place + velocity * self.seconds
            history.append((place, velocity, pushed))
        places, velocities, pushes = (torch.stack(each, 2) for each in zip(*history, strict=True))
        frames = torch.arange(num_frames + 1, device=place.device)
        by_time, by_push = self.forgetting.exp()
        kept = (-by_time * frames - by_push * pushes).exp()
        orientations = state.orientation[:, :, None] * kept[..., None]
        return Trajectory(places, velocities, orientations, pushes)

    def _impulses(
        self,
        apart: torch.Tensor,
        relative: torch.Tensor,
        turn: torch.Tensor,
        reach: torch.Tensor,
        of_pair: torch.Tensor,
    ) -> torch.Tensor:
        """Return what the second object of each pair gets from the first, ``(N, P, 2)``.

        Args:
            apart: from the first to the second, ``(N, P, 2)``.
            relative: velocity of the second less that of the first.
            turn: sum of the orientations of those that are cubes.
            reach: distance at which they touch, ``(N, P)``.
            of_pair: what is known of the pair, ``(N, P, hidden)``.
        """
        distance = (apart.square().sum(-1) + 1e-6).sqrt()
        normal = apart / distance[..., None]
        tangent = torch.stack([-normal[..., 1], normal[..., 0]], dim=-1)
        closing = -(relative * normal).sum(-1)
        sliding = (relative * tangent).sum(-1)
        gap = distance - reach
        # How the sides of cubes stand to the normal: a difference of angles, four times.
        cos, sin = _double_angle(*_double_angle(*normal.unbind(-1)))
        side = turn[..., 0] * cos + turn[..., 1] * sin
        corner = turn[..., 1] * cos - turn[..., 0] * sin
        moving = torch.stack([(gap * 3).clamp(-3, 3), closing, sliding, side, corner], dim=-1)
        message = self.message(of_pair + self.of_motion(moving))
        late, elastic, deflect, rub = message.unbind(-1)
        contact = (late - _SHARPNESS * gap).sigmoid()
        hit = contact * closing.clamp(min=0)
        along = hit * 2 * elastic.sigmoid()
        across = hit * deflect - contact * 0.2 * rub.sigmoid() * sliding
        return along[..., None] * normal + across[..., None] * tangent


def _double_angle(cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return cos.square() - sin.square(), 2 * cos * sin
