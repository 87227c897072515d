"""From tracks to the state of each object at the last input frame.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``D`` channels, ``C`` numbers of a code.
"""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.data.tracks import FRAME_SECONDS, NUM_MEASURES
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS, Tracks, one_hot_kinds

_NUM_SIDES = 4
_BORDER = 1 / 200
"""Picture widths from its border within which an outline counts as cut."""
_FAR = 40.0
"""Metres that a place read from an outline is held to, so near the horizon none is huge."""
_RELATIVE = 6.0
"""The same, of places relative to the last one, and of metres a second."""


class State(NamedTuple):
    """What is known of each object at one moment.

    Attributes:
        exists: bool ``(N, K)``; the rest means nothing where it is False.
        kinds: shape and material, one-hot, ``(N, K, 5)``.
        place: on the floor, ``(N, K, 2)`` in metres.
        velocity: ``(N, K, 2)`` in metres a second.
        orientation: cosine and sine of four times the angle about the vertical, ``(N, K, 2)``: a
            cube looks the same after a quarter turn. The shorter, the less is known.
        size: half the height and width, relative to the mean of the shape, ``(N, K)``.
        friction: deceleration, ``(N, K)`` in metres a second squared.
        code: what else the past tells of how the object moves, ``(N, K, C)``.
    """

    exists: torch.Tensor
    kinds: torch.Tensor
    place: torch.Tensor
    velocity: torch.Tensor
    orientation: torch.Tensor
    size: torch.Tensor
    friction: torch.Tensor
    code: torch.Tensor


class _Start(NamedTuple):
    """A first guess of place and velocity, from the last two outlines."""

    place: torch.Tensor
    velocity: torch.Tensor


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
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
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
    """A transformer over the outlines of all objects in all frames.

    Place and velocity are those of the last two outlines, and sums of all places where an object
    was seen, with weights that the network chooses (a straight line through some frames is one such
    sum), and a small correction: so they can be as exact as the outlines.

    Args:
        num_frames: ``T``.
        channels: ``D``.
        num_layers: of attention.
        heads: of each attention.
        code_size: ``C``.
    """

    def __init__(
        self,
        *,
        num_frames: int = 11,
        channels: int = 128,
        num_layers: int = 3,
        heads: int = 4,
        code_size: int = 4,
    ) -> None:
        super().__init__()
        num_features = 1 + NUM_MEASURES + _NUM_SIDES + 6 + NUM_KINDS
        self.embed = mlp(num_features, channels, channels)
        self.time = nn.Parameter(torch.randn(num_frames, channels) * 0.02)
        self.blocks = nn.ModuleList(_Block(channels, heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(channels)
        self.weights = nn.Linear(channels, 2)
        self.read = mlp(channels, channels, 2 + 2 + 2 + 1 + 1 + code_size)
        self.mean_friction = nn.Parameter(torch.tensor(0.5).log())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def forward(self, tracks: Tracks, camera: GroundCamera) -> State:
        """Return the state at the last frame of the tracks."""
        seen = tracks.seen
        exists = seen.any(-1)
        kind = one_hot_kinds(tracks.class_ids)
        x, places, start = self._embed(tracks, camera, kind)
        mask = exists[:, None, None, None, :].expand(-1, seen.shape[2], -1, -1, -1).flatten(0, 1)
        # A video without objects attends to its empty places, which nobody reads.
        mask = mask | ~mask.any(-1, keepdim=True)
        for block in self.blocks:
            x = block(x, mask)
        with torch.autocast(x.device.type, enabled=False):
            x = self.norm(x.float())
            weights = 0.1 * self.weights(x) * seen[..., None]
            numbers = self.read(x[:, :, -1])
        sums = (weights[..., None] * places[..., None, :]).sum(2)
        place, velocity, orientation, size, friction, code = numbers.split(
            [2, 2, 2, 1, 1, numbers.shape[-1] - 8], dim=-1
        )
        return State(
            exists=exists,
            kinds=kind,
            place=start.place + sums[:, :, 0] + 0.3 * place,
            velocity=start.velocity + sums[:, :, 1] + 0.5 * velocity,
            orientation=orientation,
            size=(0.1 * size[..., 0]).exp(),
            friction=(self.mean_friction + 0.5 * friction[..., 0]).exp(),
            code=code,
        )

    def _embed(
        self, tracks: Tracks, camera: GroundCamera, kind: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, _Start]:
        """Return tokens ``(N, K, T, D)``, places relative to the last, and a first guess."""
        seen = tracks.seen[..., None]
        outlines = tracks.outlines
        half_height = tracks.aspect / 2
        borders = outlines.new_tensor([-0.5, -half_height, 0.5, half_height])
        cut = (outlines[..., 3:] - borders).abs() < _BORDER
        heights = torch.full_like(outlines[..., 0], CENTER_HEIGHT)
        ground = camera.to_ground(outlines[..., 1:3], heights).clamp(-_FAR, _FAR)
        last, velocities = _differences(ground, seen)
        places = ((ground - last[:, :, None]) * seen).clamp(-_RELATIVE, _RELATIVE)
        features = torch.cat(
            [
                seen,
                outlines[..., :1].sqrt() * 12,
                outlines[..., 1:3] * 2,
                outlines[..., 3:5] * 2,
                (outlines[..., 5:7] - outlines[..., 3:5]) * 6,
                cut,
                places,
                velocities,
                ground / 5,
                kind[:, :, None].expand(-1, -1, seen.shape[2], -1),
            ],
            dim=-1,
        )
        start = _Start(last, velocities[:, :, -1])
        return self.embed(features) + self.time, places, start


def _differences(ground: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last place seen, and the velocity since the one before.

    Args:
        ground: places, ``(N, K, T, 2)``.
        seen: in which frames they mean something, bool ``(N, K, T, 1)``.

    Returns:
        ``(N, K, 2)``, and ``(N, K, T, 2)`` in metres a second: the last known up to each frame, 0
        before an object was seen twice.
    """
    place, velocity = torch.zeros_like(ground[:, :, 0]), torch.zeros_like(ground[:, :, 0])
    frame = torch.full_like(place[..., :1], -1)
    velocities = []
    for now in range(ground.shape[2]):
        here = seen[:, :, now]
        step = (ground[:, :, now] - place) / ((now - frame) * FRAME_SECONDS)
        velocity = torch.where(here & (frame >= 0), step.clamp(-_RELATIVE, _RELATIVE), velocity)
        place = torch.where(here, ground[:, :, now], place)
        frame = torch.where(here, now, frame)
        velocities.append(velocity)
    return place, torch.stack(velocities, dim=2)
