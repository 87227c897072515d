"""Sinusoidal positions of the pixels of a map, as in DETR (arXiv 2005.12872, appendix A.4)."""

import math

import torch


def sine_positions(
    height: int, width: int, channels: int, device: torch.device | str | None = None
) -> torch.Tensor:
    """Return a code of the place of each pixel.

    Rows and columns are counted from 1 and scaled so that the last one is at ``2 pi``.

    Args:
        height: rows of the map.
        width: columns of the map.
        channels: of the code, a multiple of 4: the first half is for rows, the second for columns.
        device: of the result.

    Returns:
        float32 ``(channels, height, width)``.
    """
    half = channels // 2
    rates = 10000 ** (2 * (torch.arange(half, device=device) // 2) / half)
    rows, columns = (_waves(count, rates) for count in (height, width))
    return torch.cat(
        [
            rows.T[:, :, None].expand(half, height, width),
            columns.T[:, None, :].expand(half, height, width),
        ]
    )


def _waves(count: int, rates: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines by turns of ``count`` places, ``(count, len(rates))``."""
    places = torch.arange(1, count + 1, dtype=torch.float32, device=rates.device)
    angles = (places / (count + 1e-6) * 2 * math.pi)[:, None] / rates
    return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)
