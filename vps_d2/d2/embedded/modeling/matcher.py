"""Which box is matched to which object, and which of them are trained on."""

from collections.abc import Sequence

import torch

__all__ = ["match", "subsample"]


def match(
    quality: torch.Tensor,
    *,
    thresholds: Sequence[float],
    labels: Sequence[int],
    allow_low_quality: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Assign to each of N boxes the one of G objects that it fits best.

    Args:
        quality: overlap of objects and boxes, (G, N).
        thresholds: of the overlap, in ascending order; one fewer than labels.
        labels: below the first threshold, between the first and the second, ...
        allow_low_quality: give every object's best boxes label 1, however low their overlap.

    Returns:
        the objects' indices int64 (N,), 0 where there is no object, and labels int8 (N,).
    """
    count = quality.shape[1]
    if not quality.numel():
        zeros = quality.new_zeros(count, dtype=torch.int64)
        return zeros, quality.new_full((count,), labels[0], dtype=torch.int8)
    best, index = quality.max(dim=0)
    # right=True: an overlap equal to a threshold is above it.
    level = torch.bucketize(best, quality.new_tensor(thresholds), right=True)
    result = torch.tensor(labels, dtype=torch.int8, device=quality.device)[level]
    if allow_low_quality:
        best_of_object = quality.max(dim=1, keepdim=True).values
        result[(quality == best_of_object).any(dim=0)] = 1
    return index, result


def subsample(
    labels: torch.Tensor, num_samples: int, positive_fraction: float, background: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw boxes to train on.

    Args:
        labels: int (N,): ``background``, -1 for boxes that are never drawn, or any other number for
            an object.
        num_samples: boxes to draw, or fewer if there are not enough.
        positive_fraction: largest share of objects' boxes among them.
        background: the label of boxes without an object.

    Returns:
        indices of the objects' boxes and of the others, int64.
    """
    positive = torch.nonzero((labels != -1) & (labels != background))[:, 0]
    negative = torch.nonzero(labels == background)[:, 0]
    num_positive = min(len(positive), int(num_samples * positive_fraction))
    num_negative = min(len(negative), num_samples - num_positive)
    order = torch.randperm(len(positive), device=labels.device)[:num_positive]
    other = torch.randperm(len(negative), device=labels.device)[:num_negative]
    return positive[order], negative[other]
