"""Weights and clips for tests that any code can make again."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch


def make_weights(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights for a state dict that depend only on its names and shapes."""
    made = {}
    for name, value in state.items():
        if not value.is_floating_point():
            made[name] = torch.zeros_like(value)
            continue
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        numbers = rng.standard_normal(tuple(value.shape), np.float32)
        if value.ndim > 1:
            numbers *= np.float32(1 / np.sqrt(numbers[0].size))
        elif name.endswith("running_var") or name.endswith("weight"):
            numbers = np.float32(1) + np.float32(0.1) * np.abs(numbers)
        else:
            numbers *= np.float32(0.1)
        if name == "key_proj.key_proj.weight":
            numbers *= np.float32(0.05)  # or the softmax of the affinity would overflow
        made[name] = torch.from_numpy(numbers)
    return made


def make_clip(length: int, height: int = 112, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return frames uint8 ``(length, height, width, 3)`` and an object map of the first one.

    Two textured squares slide over a textured background.
    """
    rng = np.random.default_rng(0)

    def texture(rows: int, columns: int, low: int, high: int) -> np.ndarray:
        small = rng.integers(low, high, (-(-rows // 4), -(-columns // 4), 3), dtype=np.uint8)
        return small.repeat(4, 0).repeat(4, 1)[:rows, :columns]

    frames = np.stack([texture(height, width, 60, 140)] * length)
    first = np.zeros((height, width), np.uint8)
    side = height // 4 // 4 * 4
    for number, (low, high) in enumerate(((120, 255), (0, 90)), 1):
        square = texture(side, side, low, high)
        for index, frame in enumerate(frames):
            top, left = 4 + (number - 1) * height // 2, 8 + 2 * index
            frame[top : top + side, left : left + side] = square
        first[top : top + side, 8 : 8 + side] = number
    return frames, first
