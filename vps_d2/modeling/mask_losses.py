"""Losses of predicted masks whose classes sit in slots (:mod:`vps_d2.modeling.mask_slots`).

Shapes: ``N`` masks, ``K`` slots, ``H`` rows, ``W`` columns. Logits are float ``(N, K + 1, H, W)``
with background first; labels int64 ``(N, H, W)``, 0 for background, ``k + 1`` for slot ``k`` and
IGNORED for pixels that do not count.
"""

import torch
import torch.nn.functional as F

from vps_d2.data.classes import NUM_CLASSES
from vps_d2.modeling.mask_slots import EMPTY

IGNORED = -100


def mask_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, background_weight: float = 1.0
) -> torch.Tensor:
    """Return the mean cross-entropy of the pixels.

    Args:
        logits: of the slots; minus infinity bars one that no label names.
        labels: true ones.
        background_weight: of a background pixel, where one of an object has 1. With less than 1 an
            object is drawn where it is less likely than not, as the Jaccard index wants it.

    Returns:
        a scalar; 0 if no pixel counts.
    """
    weights = torch.ones(logits.shape[1], device=logits.device)
    weights[0] = background_weight
    # Pixel by pixel, classes innermost: with the convolutions' layout twice as fast.
    pixels = logits.movedim(1, -1).flatten(0, 2).float()
    total = F.cross_entropy(
        pixels, labels.flatten(), weight=weights, ignore_index=IGNORED, reduction="sum"
    )
    background = (labels == 0).sum()
    objects = (labels > 0).sum()
    return total / (background * background_weight + objects).clamp(min=1)


def soft_jaccard_loss(
    logits: torch.Tensor, labels: torch.Tensor, slots: torch.Tensor
) -> torch.Tensor:
    """Return one minus the mean soft Jaccard index of the classes that are in the truth.

    With probabilities ``p`` and truth ``y`` the index of a class is ``sum(p y) / sum(p + y - p y)``
    (arXiv 1608.01471, eq. 4), summed over the batch, as the score sums over a split.

    Args:
        logits: of the slots.
        labels: true ones.
        slots: class number of each slot, int64 ``(N, K)``.

    Returns:
        a scalar; 0 if no pixel counts.
    """
    counts = labels != IGNORED
    probabilities = logits.float().softmax(1) * counts[:, None]
    choices = torch.arange(logits.shape[1], device=logits.device)
    truth = (labels[:, None] == choices[:, None, None]).to(probabilities.dtype)
    intersections = (probabilities * truth).sum((2, 3))
    unions = probabilities.sum((2, 3)) + truth.sum((2, 3)) - intersections
    classes = F.pad(slots, (1, 0))  # background first

    def by_class(values: torch.Tensor) -> torch.Tensor:
        sums = values.new_zeros(EMPTY + 1)
        return sums.index_add(0, classes.flatten(), values.flatten())[:NUM_CLASSES]

    occurs = by_class(truth.sum((2, 3))) > 0
    scores = by_class(intersections) / by_class(unions).clamp(min=1e-6)
    return ((1 - scores) * occurs).sum() / occurs.sum().clamp(min=1)
