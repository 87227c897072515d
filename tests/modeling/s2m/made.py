"""Inputs for tests that any code can make again."""

import numpy as np
import torch


def make_input(height: int = 96, width: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalized pixels ``(1, 3, H, W)`` and guides ``(1, 3, H, W)``.

    Two textured areas, a mask of part of one of them, and a line through each.
    """
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((3, height // 4, width // 4), np.float32).repeat(4, 1).repeat(4, 2)
    pixels[:, :, width // 2 :] = 0.5 * pixels[:, :, width // 2 :] + 1
    guides = np.zeros((3, height, width), np.float32)
    guides[0, height // 4 :, : width // 4] = 1
    guides[1, 20:23, 10:50] = 1
    guides[2, 30:80, 90:94] = 1
    return torch.from_numpy(pixels)[None], torch.from_numpy(guides)[None]
