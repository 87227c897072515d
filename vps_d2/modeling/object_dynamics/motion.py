"""How objects move: by the law of free motion, and exchanging momentum in collisions.

An interaction network (arXiv 1612.00222) stepped through time as in arXiv 2002.09405, whose
messages are impulses: what one object of a pair gains, the other loses, so momentum is conserved by
design. Friction and drag are known (:mod:`vps_d2.data.world`); how hard, how elastically and in
which direction kinds of objects collide is learned.

Shapes: ``N`` videos, ``K`` objects, ``S`` frames. What is of a pair is ``(N, K, K)``: of an object
and another one.
"""

from typing import NamedTuple

import torch
from torch import nn

from vps_d2.data.vps import SHAPES
from vps_d2.data.world import (
    CONTACT_RADIUS,
    FRAME_SECONDS,
    FRICTION,
    LINEAR_DRAG,
    QUADRATIC_DRAG,
)
from vps_d2.modeling.object_dynamics.iterating import iterate
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

_REACH_RANGE = 0.25
"""The most by which sides and corners change the distance at which objects touch, in meters."""
_LEAST_SQUARE = 1e-3
"""Keeps the derivatives of square roots finite, in the units of what is under them."""
_NUM_MOTION = 8
"""Numbers that describe how two objects meet."""


class Trajectory(NamedTuple):
    """Where objects go.

    Attributes:
        places: ``(N, K, S, 2)`` in meters.
        velocities: ``(N, K, S, 2)`` in meters a second.
        orientations: as in :class:`State`, ``(N, K, S, 2)``; shorter with time, and with pushes.
        pushed: how much each object was pushed by others so far: the sum of the changes of its
            velocity, ``(N, K, S)`` in meters a second.
        since: seconds since another one touched it, or since the start, ``(N, K, S)``.
    """

    places: torch.Tensor
    velocities: torch.Tensor
    orientations: torch.Tensor
    pushed: torch.Tensor
    since: torch.Tensor


class _Moment(NamedTuple):
    """What changes with time."""

    place: torch.Tensor
    velocity: torch.Tensor
    turn: torch.Tensor
    spin: torch.Tensor
    pushed: torch.Tensor
    since: torch.Tensor


class _Fixed(NamedTuple):
    """What does not change with time.

    Attributes:
        both: which pairs are two objects, ``(N, K, K)``, 1 or 0.
        of_pair: what is known of them, ``(N, K, K, hidden)``.
        easy: inverse masses, ``(N, K)``.
        friction: deceleration on the floor, ``(N, K)``.
    """

    both: torch.Tensor
    of_pair: torch.Tensor
    easy: torch.Tensor
    friction: torch.Tensor


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
        code_size: int = 16,
        hidden: int = 64,
        seconds_per_frame: float = FRAME_SECONDS,
        substeps: int = 3,
    ) -> None:
        super().__init__()
        self.code_size = code_size
        self.seconds = seconds_per_frame / substeps
        self.substeps = substeps
        self.of_pair = nn.Linear(2 * (NUM_KINDS + code_size), hidden)
        self.of_motion = nn.Linear(_NUM_MOTION, hidden, bias=False)
        self.message = nn.Sequential(nn.SiLU(), mlp(hidden, hidden, 5))
        self.forgetting = nn.Parameter(torch.tensor([-3.0, -2.0, 0.0]))

    def forward(self, state: State, num_frames: int) -> Trajectory:
        """Return the states after 0, 1, ... ``num_frames`` frames: ``S`` is one more."""
        fixed = self._fixed(state)
        moment = _Moment(
            state.place,
            state.velocity,
            state.orientation * state.kinds[..., :1],  # of cubes
            state.spin * state.kinds[..., 0],
            torch.zeros_like(state.spin),
            torch.zeros_like(state.spin),
        )
        history = iterate(
            lambda now: self.step(_Moment(*now), fixed), moment, num_frames * self.substeps
        )
        places, velocities, turns, _, pushed, since = (
            each[:: self.substeps].movedim(0, 2) for each in history
        )
        return Trajectory(places, velocities, turns, pushed, since)

    def _fixed(self, state: State) -> _Fixed:
        exists = state.exists
        num_objects = exists.shape[1]
        apart = ~torch.eye(num_objects, dtype=torch.bool, device=exists.device)
        both = (exists[:, :, None] & exists[:, None] & apart).to(state.place.dtype)
        known = torch.cat([state.kinds, state.code], dim=-1)
        own = known[:, :, None].expand(-1, -1, num_objects, -1)
        pair = torch.cat([own, own.transpose(1, 2)], dim=-1)
        frictions = known.new_tensor([FRICTION[shape] for shape in SHAPES])
        return _Fixed(
            both,
            self.of_pair(pair),
            (-state.log_mass).exp(),
            state.kinds[..., : len(SHAPES)] @ frictions,
        )

    def step(self, moment: _Moment, fixed: _Fixed) -> _Moment:
        """Return the next moment, ``seconds`` later."""
        place, velocity, turn, spin, pushed, since = moment
        impulse, left, twist = self._impulses(moment, fixed)
        since = _since_touch(impulse.detach(), left.detach(), since + self.seconds)
        # The velocity changes when objects touch, within the step: the rest of it counts.
        easy = fixed.easy[..., None]
        change = impulse.sum(2) * easy
        shift = (impulse * left[..., None]).sum(2) * easy
        spin = spin * (1 - self.seconds * self.forgetting[0].exp()) + twist.sum(2)
        place = place + velocity * self.seconds + shift
        velocity = velocity + change
        push = (change.square().sum(-1) + 1e-12).sqrt()
        # Friction takes no more than all of the speed; drag depends on it.
        speed = (velocity.square().sum(-1) + 1e-6).sqrt()
        half = (speed - _braking(speed, fixed.friction) * (self.seconds / 2)).clamp(min=0)
        lost = (_braking(half, fixed.friction) * self.seconds).minimum(speed)
        lost = (lost / speed)[..., None] * velocity
        place = place - lost * (self.seconds / 2)
        angle = 4 * self.seconds * spin
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack(
            [turn[..., 0] * cos - turn[..., 1] * sin, turn[..., 0] * sin + turn[..., 1] * cos], -1
        )
        by_time, by_push = self.forgetting[1:].exp()
        kept = (-by_time * self.seconds - by_push * push).exp()
        turn = turn * kept[..., None]
        return _Moment(place, velocity - lost, turn, spin, pushed + push, since)

    def _impulses(
        self, moment: _Moment, fixed: _Fixed
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what the others do to each object in a step.

        Returns:
            impulses of the second object on the first of each pair, ``(N, K, K, 2)``, 0 where they
            do not touch in this step; the time left in the step when they do, in seconds; and the
            change of the first one's spin, both ``(N, K, K)``.
        """
        place, velocity, turn, spin, _, _ = moment
        apart = place[:, None] - place[:, :, None]
        relative = velocity[:, None] - velocity[:, :, None]
        reach = torch.full_like(apart[..., 0], 2 * CONTACT_RADIUS)
        with torch.no_grad():
            _, _, normal = self._contact(apart, relative, reach)
            closing, sliding, _ = _split(relative, normal)
            # The angle between the sides of cubes and the normal, times four.
            cos, sin = _double_angle(*_double_angle(*normal.unbind(-1)))
        own = turn[:, :, None]
        side = own[..., 0] * cos + own[..., 1] * sin
        corner = own[..., 1] * cos - own[..., 0] * sin
        spins = spin[:, :, None].expand_as(side)
        meeting = torch.stack(
            [
                *(closing, sliding, side, corner, spins / 4),
                *(side.transpose(1, 2), corner.transpose(1, 2), spins.transpose(1, 2) / 4),
            ],
            dim=-1,
        )
        message = self.message(fixed.of_pair + self.of_motion(meeting))
        shared = message[..., :4] + message[..., :4].transpose(1, 2)
        deep, elastic, deflect, rub = shared.unbind(-1)
        reach = reach + _REACH_RANGE * deep.tanh()
        meets, when, normal = self._contact(apart, relative, reach)
        meets = meets * fixed.both
        closing, sliding, tangent = _split(relative * meets[..., None], normal)
        reduced = 1 / (fixed.easy[:, :, None] + fixed.easy[:, None])
        along = closing * 2 * (elastic + 0.8).sigmoid() * reduced
        across = (closing * deflect - 0.4 * rub.sigmoid() * sliding) * reduced
        impulse = -(along[..., None] * normal + across[..., None] * tangent)
        return impulse, self.seconds - when, 2 * closing * message[..., 4]

    def _contact(
        self, apart: torch.Tensor, relative: torch.Tensor, reach: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find where two discs first touch, going straight.

        Returns:
            whether they touch within a step, ``(N, K, K)``; after how many seconds, below 0 if they
            already overlap; and the direction from the first to the second then,
            ``(N, K, K, 2)``.
        """
        square = relative.square().sum(-1) + _LEAST_SQUARE
        approach = -(apart * relative).sum(-1)
        root = approach.square() - square * (apart.square().sum(-1) - reach.square())
        when = (approach - root.clamp(min=_LEAST_SQUARE).sqrt()) / square
        meets = (root > 0) & (approach > 0) & (when < self.seconds)
        when = when.clamp(-self.seconds, self.seconds)
        touching = apart + relative * when[..., None]
        return meets, when, touching / (touching.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def _since_touch(impulse: torch.Tensor, left: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Return how long ago each object was touched at the end of a step, ``(N, K)`` in seconds.

    Args:
        impulse: of each pair in the step, ``(N, K, K, 2)``.
        left: the time that was left in the step then, ``(N, K, K)``.
        before: how long ago it was touched if not in this step, ``(N, K)``.
    """
    strength = impulse.square().sum(-1)
    total = strength.sum(2)
    ago = (strength * left).sum(2) / total.clamp(min=_LEAST_SQUARE)
    return torch.where(total > _LEAST_SQUARE, ago.clamp(min=0), before)


def _braking(speed: torch.Tensor, friction: torch.Tensor) -> torch.Tensor:
    """Return the deceleration of free motion, in meters a second squared."""
    return friction + speed * (LINEAR_DRAG + QUADRATIC_DRAG * speed)


def _split(
    relative: torch.Tensor, normal: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return how fast objects close in and slide past each other, and in which direction."""
    tangent = torch.stack([-normal[..., 1], normal[..., 0]], dim=-1)
    return -(relative * normal).sum(-1), (relative * tangent).sum(-1), tangent


def _double_angle(cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return cos.square() - sin.square(), 2 * cos * sin
