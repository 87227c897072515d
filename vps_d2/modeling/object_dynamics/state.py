"""From tracks to the state of each object at the last input frame.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``D`` channels, ``C`` numbers of a code.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from vps_d2.data.world import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.fits import NUM_FIT_FEATURES, Fits, last_sight
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS, Tracks, one_hot_kinds

_NUM_FEATURES = 20
"""Of an object in a frame, besides its kind."""
_RELATIVE = 6.0
"""Largest coordinate of a place relative to the last one, in meters."""
_NEAR = 0.3
"""The same where it is told more exactly."""
_FASTEST = 6.0
"""Meters a second, between two frames."""


class State(NamedTuple):
    """The state of each object at one moment.

    Attributes:
        exists: bool ``(N, K)``; the rest means nothing where it is False.
        kinds: shape and material, one-hot, ``(N, K, 5)``.
        place: on the floor, ``(N, K, 2)`` in meters.
        velocity: ``(N, K, 2)`` in meters a second.
        orientation: cosine and sine of four times the angle about the vertical, ``(N, K, 2)``: a
            cube looks the same after a quarter turn. The shorter the vector, the less certain.
        spin: angle by which a cube turns in a second, ``(N, K)`` in radians.
        log_mass: logarithm of the mass relative to that of most objects, ``(N, K)``.
        code: further numbers about how the object moves, ``(N, K, C)``.
        context: all that the encoder knows of the object, ``(N, K, D)``; motion does not use it.
    """

    exists: torch.Tensor
    kinds: torch.Tensor
    place: torch.Tensor
    velocity: torch.Tensor
    orientation: torch.Tensor
    spin: torch.Tensor
    log_mass: torch.Tensor
    code: torch.Tensor
    context: torch.Tensor


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths with SiLU between them."""
    layers: list[nn.Module] = []
    for first, second in itertools.pairwise(widths):
        layers += [nn.Linear(first, second), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class _Attention(nn.Module):
    """Self-attention over the second to last axis."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        queries, keys, values = (
            self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(2, 3)
        )
        # Written out: on sequences this short the fused kernel is slower.
        scores = (queries * keys.shape[-1] ** -0.5) @ keys.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        attended = scores.softmax(-1) @ values
        return self.out(attended.transpose(1, 2).flatten(-2))


class _Block(nn.Module):
    """Attention over an object's frames, then over the objects of a frame, then an MLP."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.over_time = _Attention(channels, heads)
        self.over_objects = _Attention(channels, heads)
        self.mlp = nn.Sequential(nn.LayerNorm(channels), mlp(channels, 2 * channels, channels))

    def forward(self, x: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
        """Map ``(N, K, T, D)`` to the same; ``exists`` bool ``(N * T, 1, 1, K)``."""
        num_videos, num_objects = x.shape[:2]
        x = x + self.over_time(x.flatten(0, 1)).unflatten(0, (num_videos, num_objects))
        by_frame = x.transpose(1, 2).flatten(0, 1)
        attended = self.over_objects(by_frame, exists).unflatten(0, (num_videos, -1))
        x = x + attended.transpose(1, 2)
        return x + self.mlp(x)


class StateEncoder(nn.Module):
    """A transformer over the measures of all objects in all frames.

    Place and velocity are mixed from curves through the places where an object was measured
    (:mod:`.fits`, :mod:`.replays`), with weights that the network chooses, and corrected a little,
    so they can be as exact as the measures. Masses show in collisions alone.

    Args:
        num_fits: curves to choose from.
        likely: which of them it prefers at the beginning.
        num_frames: ``T``.
        channels: ``D``.
        num_layers: of attention.
        heads: of each attention.
        code_size: ``C``.
    """

    def __init__(
        self,
        *,
        num_fits: int,
        likely: Sequence[int],
        num_frames: int = 11,
        channels: int = 128,
        num_layers: int = 3,
        heads: int = 4,
        code_size: int = 16,
    ) -> None:
        super().__init__()
        self.embed = mlp(_NUM_FEATURES + NUM_KINDS, channels, channels)
        self.time = nn.Parameter(torch.randn(num_frames, channels) * 0.02)
        self.blocks = nn.ModuleList(_Block(channels, heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(channels)
        self.sizes = [num_fits, num_fits, 2, 2, 1, 2, 1, 1, code_size]
        self.read = mlp(channels + num_fits * NUM_FIT_FEATURES, channels, channels, sum(self.sizes))
        self._start_from(list(likely))

    @torch.no_grad()
    def _start_from(self, likely: list[int]) -> None:
        last = self.read[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(0.2)
        bias = last.bias.split(self.sizes)
        for curves in bias[:2]:
            curves.zero_()
            curves[likely] = 3.0

    def forward(self, tracks: Tracks, fits: Fits) -> State:
        """Return the state at the last frame.

        Args:
            tracks: of the objects.
            fits: curves through their places.
        """
        seen = tracks.seen
        exists = seen.any(-1)
        kind = one_hot_kinds(tracks.class_ids)
        x = self._embed(tracks, kind)
        mask = exists[:, None, None, None, :].expand(-1, seen.shape[2], -1, -1, -1).flatten(0, 1)
        # A video without objects attends to its empty entries, whose outputs are not used.
        mask = mask | ~mask.any(-1, keepdim=True)
        for block in self.blocks:
            x = block(x, mask)
        context = self.read[:-1](torch.cat([self.norm(x)[:, :, -1], fits.features()], dim=-1))
        numbers = self.read[-1](context)
        to_place, to_velocity, place, velocity, speed, turn, spin, mass, code = numbers.split(
            self.sizes, dim=-1
        )
        mixed_place = (to_place.softmax(-1)[..., None] * fits.places).sum(2)
        mixed_velocity = (to_velocity.softmax(-1)[..., None] * fits.velocities).sum(2)
        velocity = mixed_velocity * (1 + 0.3 * speed) + 0.3 * velocity
        return State(
            exists=exists,
            kinds=kind,
            place=mixed_place + 0.1 * place,
            velocity=velocity,
            orientation=tracks.orientations[:, :, -1] + turn,
            spin=4 * spin[..., 0],
            log_mass=0.3 * mass[..., 0],
            code=code,
            context=context,
        )

    def _embed(self, tracks: Tracks, kind: torch.Tensor) -> torch.Tensor:
        """Return tokens ``(N, K, T, D)``."""
        seen = tracks.seen[..., None]
        places, orientations = tracks.places, tracks.orientations
        num_frames = places.shape[2]
        _, anchor = last_sight(tracks.seen[:, :, None], places)
        relative = places - anchor
        both = (seen[:, :, 1:] & seen[:, :, :-1]).to(places.dtype)
        steps = (places.diff(dim=2) * both / FRAME_SECONDS).clamp(-_FASTEST, _FASTEST)
        none = torch.zeros_like(steps[:, :, :1])
        before, after = torch.cat([none, steps], 2), torch.cat([steps, none], 2)
        # By how much a cube turned, times four.
        now, last = orientations[:, :, 1:], orientations[:, :, :-1]
        turned = torch.stack(
            [(now * last).sum(-1), now[..., 1] * last[..., 0] - now[..., 0] * last[..., 1]], -1
        )
        deviations = (tracks.covariances().diagonal(dim1=-2, dim2=-1).sqrt() + 1e-3).log() / 3
        features = torch.cat(
            [
                seen,
                tracks.measures[..., :1],
                tracks.measures[..., 8:],
                deviations,
                relative.clamp(-_RELATIVE, _RELATIVE),
                (relative / _NEAR).clamp(-1, 1),
                places / 5,
                orientations,
                before / 2,
                after / 2,
                torch.cat([none, turned], 2),
                kind[:, :, None].expand(-1, -1, num_frames, -1),
            ],
            dim=-1,
        )
        return self.embed(features * seen) + self.time
