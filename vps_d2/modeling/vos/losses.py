"""The loss of STCN: bootstrapped cross-entropy.

Shapes: ``K`` objects, ``H`` rows, ``W`` columns.
"""

import torch
import torch.nn.functional as F


def bootstrapped_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, share: float
) -> torch.Tensor:
    """Return the mean cross-entropy of the pixels that are hardest.

    Args:
        logits: background first, ``(K + 1, H, W)``.
        labels: object of each pixel, int64 ``(H, W)``.
        share: of the pixels that count, in 0-1.

    Returns:
        a scalar.
    """
    losses = F.cross_entropy(logits[None], labels[None], reduction="none").flatten()
    if share >= 1:
        return losses.mean()
    return losses.topk(max(1, int(len(losses) * share)), sorted=False).values.mean()


def hard_share(iteration: int, first: int, last: int, final: float) -> float:
    """Return the share of pixels that count in an iteration.

    It is 1 up to iteration ``first`` and falls linearly to ``final`` at iteration ``last``.
    """
    if iteration < first:
        return 1.0
    if iteration >= last:
        return final
    return final + (1 - final) * (last - iteration) / (last - first)
