"""Where else an object may be: several futures around the predicted one, with their probabilities.

A state is never known exactly, and collisions make a little into much. A mixture of normal
distributions (a mixture density network, https://publications.aston.ac.uk/id/eprint/373/) says how
far, in which directions, and around which other places, an object may be from where it is expected.

Shapes: ``N`` videos, ``K`` objects, ``S`` frames, ``M`` normal distributions, ``P`` places.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from vps_d2.data.vps import NUM_TARGET_FRAMES
from vps_d2.data.world import CONTACT_RADIUS
from vps_d2.modeling.object_dynamics.motion import Trajectory
from vps_d2.modeling.object_dynamics.state import State, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS

NUM_NORMALS = 4
_OF_NORMAL = 6
"""Numbers of one: probability, mean, two deviations, and how they go together."""
_LOG_DEVIATIONS = (-5.0, 2.0)
"""Smallest and largest, in meters."""
_NUM_MOVING = 11
"""Features of an object that change with time."""
_FAR = 3.0
"""Meters: gap to other objects from which on it does not matter."""


class Spread(NamedTuple):
    """A mixture of normal distributions of the place of each object.

    Attributes:
        log_shares: logarithms of the probabilities, ``(N, K, S, M)``.
        means: ``(N, K, S, M, 2)`` in meters on the floor.
        factors: of the covariances: lower triangles ``(N, K, S, M, 2, 2)``.
    """

    log_shares: torch.Tensor
    means: torch.Tensor
    factors: torch.Tensor

    def log_prob(self, places: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the density at places ``(N, K, S, 2)``, ``(N, K, S)``."""
        missed = (places[..., None, :] - self.means)[..., None]
        first, second = self.factors[..., 0, 0], self.factors[..., 1, 1]
        across = missed[..., 0, 0] / first
        down = (missed[..., 1, 0] - self.factors[..., 1, 0] * across) / second
        densities = -(across.square() + down.square()) / 2 - first.log() - second.log()
        return (self.log_shares + densities).logsumexp(-1) - math.log(2 * math.pi)

    def draw(self, points: torch.Tensor) -> torch.Tensor:
        """Return places that stand for the distribution, all alike likely, ``(N, K, S, P, 2)``.

        Args:
            points: that stand for a normal distribution, ``(P, 2)``; see :func:`normal_points`.
        """
        count = len(points)
        shares = (torch.arange(count, device=points.device, dtype=points.dtype) + 0.5) / count
        reached = self.log_shares.exp().cumsum(-1)[..., None, :-1] < shares[:, None]
        chosen = reached.sum(-1)[..., None]
        means = self.means.gather(-2, chosen.expand(*chosen.shape[:-1], 2))
        rows = self.factors.flatten(-2).gather(-2, chosen.expand(*chosen.shape[:-1], 4))
        drawn: torch.Tensor = means + (rows.unflatten(-1, (2, 2)) @ points[..., None])[..., 0]
        return drawn


def normal_points(count: int) -> torch.Tensor:
    """Return evenly scattered points that stand for a normal distribution, ``(count, 2)``."""
    even = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(count)
    return torch.special.ndtri(even.clamp(1e-3, 1 - 1e-3))


class SpreadHead(nn.Module):
    """Predicts the spread from what the encoder knows of an object and from where it goes.

    Args:
        channels: of the encoder.
        code_size: of the states.
        hidden: channels.
    """

    def __init__(self, channels: int, code_size: int, hidden: int = 128) -> None:
        super().__init__()
        self.of_object = nn.Linear(channels + NUM_KINDS + code_size + 4, hidden)
        self.of_motion = nn.Linear(_NUM_MOVING, hidden)
        self.read = nn.Sequential(nn.SiLU(), mlp(hidden, hidden, NUM_NORMALS * _OF_NORMAL))
        self._set_apart()

    @torch.no_grad()
    def _set_apart(self) -> None:
        """Begin with narrow and wide distributions, each in another direction."""
        *_, last = self.read.modules()
        assert isinstance(last, nn.Linear)
        last.weight.mul_(0.1)
        deviations = torch.linspace(-3, 0.5, NUM_NORMALS)
        angles = torch.arange(NUM_NORMALS) * 2.4
        bias = last.bias.view(NUM_NORMALS, _OF_NORMAL).zero_()
        bias[:, 1:3] = torch.stack([angles.cos(), angles.sin()], -1) * deviations.exp()[:, None]
        bias[:, 3:5] = deviations[:, None]

    def forward(self, state: State, trajectory: Trajectory, frames: slice) -> Spread:
        """Return the spread; motion is not trained to look certain.

        Args:
            state: at the last input frame.
            trajectory: from there on.
            frames: those of the trajectory that are wanted, ``S`` of them.
        """
        places = trajectory.places.detach()
        velocities = trajectory.velocities.detach()
        start = [places[:, :, 0] / 5, velocities[:, :, 0] / 2]
        hidden = self.of_object(torch.cat([state.context, state.kinds, state.code, *start], -1))
        when = torch.arange(places.shape[2], device=places.device, dtype=places.dtype)
        when = when / NUM_TARGET_FRAMES
        pushed = trajectory.pushed.detach()[..., None]
        moving = torch.cat(
            [
                places / 5,
                velocities / 2,
                pushed,
                pushed.roll(1, 2),
                _least_gaps(places, state.exists),
                trajectory.orientations.detach(),
                when[:, None].expand_as(pushed),
            ],
            dim=-1,
        )
        numbers = self.read(hidden[:, :, None] + self.of_motion(moving[:, :, frames]))
        share, mean, deviations, together = numbers.unflatten(-1, (NUM_NORMALS, _OF_NORMAL)).split(
            (1, 2, 2, 1), dim=-1
        )
        first, second = deviations.clamp(*_LOG_DEVIATIONS).exp().unbind(-1)
        rows = torch.stack([first, torch.zeros_like(first), together[..., 0] * first, second], -1)
        return Spread(
            share[..., 0].log_softmax(-1),
            places[:, :, frames, None] + mean,
            rows.unflatten(-1, (2, 2)),
        )


def _least_gaps(places: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
    """Return how near the nearest two others came so far, ``(N, K, S, 2)`` in meters."""
    apart = (places[:, :, None] - places[:, None]).square().sum(-1)
    gaps = (apart + 1e-6).sqrt() - 2 * CONTACT_RADIUS
    self_or_none = torch.eye(exists.shape[1], dtype=torch.bool, device=exists.device)
    self_or_none = self_or_none | ~(exists[:, :, None] & exists[:, None])
    gaps = gaps.masked_fill(self_or_none[..., None], _FAR)
    # Not cummin, which ONNX does not have.
    gaps = torch.stack([gaps[..., : last + 1].amin(-1) for last in range(gaps.shape[-1])], -1)
    return gaps.sort(dim=2).values[:, :, :2].movedim(2, -1).clamp(max=_FAR)
