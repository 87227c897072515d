"""Inputs that an export is checked on if none are given: shapes that move over a textured floor.

Shapes: ``N`` pictures or videos, ``T`` frames, ``H`` rows, ``W`` columns.
"""

import numpy as np
import torch

_SIDE = 0.3
"""Of an object, in short sides of the picture."""


def made_pictures(count: int, height: int, width: int) -> torch.Tensor:
    """Return pictures with two objects each, uint8 ``(N, 3, H, W)``."""
    rng = np.random.default_rng(height * width + count)
    pictures = rng.integers(100, 150, (count, 3, height, width), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        for object_number in (0, 1):
            inside = _disc(number, object_number, height, width)
            color = rng.integers(0, 256, (3, 1))
            noise = rng.integers(0, 20, (3, int(inside.sum())))
            picture[:, inside] = (color + noise).clip(0, 255)
    return torch.from_numpy(pictures)


def made_masks(count: int, num_frames: int, height: int, width: int, classes: int) -> torch.Tensor:
    """Return masks of moving objects, uint8 ``(N, T, H, W)``: none in the last video but one.

    Args:
        count: of videos; each has one object more than the one before.
        num_frames: ``T``.
        height: in pixels.
        width: in pixels.
        classes: with background.
    """
    masks = np.zeros((count, num_frames, height, width), np.uint8)
    for number, video in enumerate(masks):
        for object_number in range(0 if number == count - 2 else 1 + number % 3):
            for frame, mask in enumerate(video):
                inside = _disc(frame, object_number, height, width)
                mask[inside] = 1 + (7 * number + 5 * object_number) % (classes - 1)
    return torch.from_numpy(masks)


def _disc(frame: int, number: int, height: int, width: int) -> np.ndarray:
    """Return the pixels of an object in a frame, bool ``(H, W)``; it moves to the right."""
    side = _SIDE * min(height, width)
    y = height * (0.3 + 0.35 * (number % 2))
    x = (width * (0.2 + 0.27 * number) + frame * side / 12) % width
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    inside: np.ndarray = (rows - y) ** 2 + (columns - x) ** 2 < (side / 2) ** 2
    return inside
