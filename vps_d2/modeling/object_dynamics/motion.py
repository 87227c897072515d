"""How objects move: straight, slowed by friction, and exchanging momentum in collisions.

An interaction network (arXiv 1612.00222) stepped through time as in arXiv 2002.09405, whose
messages are impulses: what one object of a pair gains, the other loses, so momentum is conserved by
design, and only how hard and how elastically kinds of objects collide has to be learned.

Shapes: ``N`` videos, ``K`` objects, ``P`` pairs of objects, ``S`` frames.
"""

from typing import NamedTuple

import torch
from torch import nn

from vps_d2.data.world import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

_REACH = 0.82
"""Initial distance in meters between the centers of two objects that touch."""
_REACH_RANGE = 0.2
"""The most by which sides and corners change that distance, in meters."""
_LEAST_SQUARE = 1e-3
"""Keeps the derivatives of square roots finite, in the units of what is under them."""


class Trajectory(NamedTuple):
    """Where objects go.

    Attributes:
        places: ``(N, K, S, 2)`` in meters.
        velocities: ``(N, K, S, 2)`` in meters a second.
        orientations: as in :class:`State`, ``(N, K, S, 2)``; shorter with time, and with pushes.
        pushed: how much each object was pushed by others so far: the sum of the changes of its
            velocity, ``(N, K, S)`` in meters a second.
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
        substeps: int = 2,
    ) -> None:
        super().__init__()
        self.code_size = code_size
        self.seconds = seconds_per_frame / substeps
        self.substeps = substeps
        self.of_pair = nn.Linear(NUM_KINDS + 2 * code_size, hidden)
        self.of_motion = nn.Linear(4, hidden, bias=False)
        self.message = nn.Sequential(nn.SiLU(), mlp(hidden, hidden, 4))
        self.reach = nn.Parameter(torch.zeros(NUM_KINDS))
        self.log_mass = nn.Linear(NUM_KINDS, 1, bias=False)
        self.log_drag = nn.Parameter(torch.full((NUM_KINDS,), -1.2))
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
        place, velocity = state.place, state.velocity
        pushed = torch.zeros_like(state.friction)
        history = [(place, velocity, pushed)]
        for _ in range(num_frames):
            for _ in range(self.substeps):
                impulse, left = self._impulses(
                    place[:, second] - place[:, first],
                    velocity[:, second] - velocity[:, first],
                    turn[:, first] + turn[:, second],
                    reach,
                    of_pair,
                )
                impulse = impulse * both[..., None]
                # The velocity changes when objects touch, within the step: the rest of it counts.
                both_changes = torch.cat([impulse, impulse * left[..., None]], dim=-1)
                change = torch.cat([torch.zeros_like(velocity)] * 2, dim=-1)
                change = change.index_add(1, second, both_changes)
                change = change.index_add(1, first, -both_changes)
                change, shift = (change * easy).chunk(2, dim=-1)
                place = place + velocity * self.seconds + shift
                velocity = velocity + change
                pushed = pushed + (change.square().sum(-1) + 1e-12).sqrt()
                # Friction takes no more than all of the speed; drag takes a share of it.
                speed = (velocity.square().sum(-1) + 1e-6).sqrt()
                share = (state.friction * self.seconds / speed).clamp(max=1) + drag * self.seconds
                lost = share.clamp(max=1)[..., None] * velocity
                place = place - lost * (self.seconds / 2)
                velocity = velocity - lost
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
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the impulse of the first object of each pair on the second, and when it acts.

        Args:
            apart: from the first to the second, ``(N, P, 2)``.
            relative: velocity of the second less that of the first.
            turn: sum of the orientations of those that are cubes.
            reach: distance at which they touch, ``(N, P)``.
            of_pair: what is known of the pair, ``(N, P, hidden)``.

        Returns:
            impulses, ``(N, P, 2)``, 0 where objects do not touch in this step; and the time left in
            the step when they do, ``(N, P)`` in seconds.
        """
        with torch.no_grad():
            _, _, normal = self._contact(apart, relative, reach)
            closing, sliding, _ = _split(relative, normal)
            # The angle between the sides of cubes and the normal, times four.
            cos, sin = _double_angle(*_double_angle(*normal.unbind(-1)))
        side = turn[..., 0] * cos + turn[..., 1] * sin
        corner = turn[..., 1] * cos - turn[..., 0] * sin
        moving = torch.stack([closing, sliding, side, corner], dim=-1)
        message = self.message(of_pair + self.of_motion(moving))
        deep, elastic, deflect, rub = message.unbind(-1)
        reach = reach + _REACH_RANGE * deep.tanh()
        meets, when, normal = self._contact(apart, relative, reach)
        closing, sliding, tangent = _split(relative * meets[..., None], normal)
        along = closing * 1.5 * (elastic - 0.4).sigmoid()
        across = closing * deflect - 0.2 * rub.sigmoid() * sliding
        return along[..., None] * normal + across[..., None] * tangent, self.seconds - when

    def _contact(
        self, apart: torch.Tensor, relative: torch.Tensor, reach: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find where two discs first touch, going straight.

        Returns:
            whether they touch within a step, ``(N, P)``; after how many seconds, below 0 if they
            already overlap; and the direction from the first to the second then, ``(N, P, 2)``.
        """
        square = relative.square().sum(-1) + _LEAST_SQUARE
        approach = -(apart * relative).sum(-1)
        root = approach.square() - square * (apart.square().sum(-1) - reach.square())
        when = (approach - root.clamp(min=_LEAST_SQUARE).sqrt()) / square
        meets = (root > 0) & (approach > 0) & (when < self.seconds)
        when = when.clamp(-self.seconds, self.seconds)
        touching = apart + relative * when[..., None]
        return meets, when, touching / (touching.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def _split(
    relative: torch.Tensor, normal: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return how fast objects close in and slide past each other, and in which direction."""
    tangent = torch.stack([-normal[..., 1], normal[..., 0]], dim=-1)
    return -(relative * normal).sum(-1), (relative * tangent).sum(-1), tangent


def _double_angle(cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return cos.square() - sin.square(), 2 * cos * sin
