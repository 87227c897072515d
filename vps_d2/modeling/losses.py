"""Losses of predicted masks.

Shapes: ``N`` masks, ``C`` classes or ``K`` slots (:mod:`vps_d2.modeling.masks.slots`), ``H`` rows,
``W`` columns. Logits are float ``(N, C, H, W)`` or ``(N, K + 1, H, W)``, with background first;
labels int64 ``(N, H, W)``, 0 for background, ``k + 1`` for slot ``k`` and IGNORED for pixels that
do not count.

:func:`dice_loss` and :func:`lovasz_softmax_loss` are means over the classes that are in the labels
of the batch, like the Jaccard index over a split, so that a small object counts as much as a large
one.
"""

import torch
import torch.nn.functional as F

from vps_d2.modeling.batch import batch_cat, batch_sum
from vps_d2.modeling.masks.slots import EMPTY

IGNORED = -100


def mask_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, background_weight: float = 1.0
) -> torch.Tensor:
    """Return the mean cross-entropy of the pixels.

    Args:
        logits: of the slots; minus infinity excludes a slot, which no label may name.
        labels: true ones.
        background_weight: of a background pixel; that of an object has weight 1. Below 1, an object
            is drawn even where it is less likely than not, which the Jaccard index rewards.

    Returns:
        a scalar; 0 if no pixel counts.
    """
    weights = torch.ones(logits.shape[1], device=logits.device)
    weights[0] = background_weight
    # Pixel by pixel, with classes innermost: twice as fast in the layout of the convolutions.
    pixels = logits.movedim(1, -1).flatten(0, 2).float()
    total = F.cross_entropy(
        pixels, labels.flatten(), weight=weights, ignore_index=IGNORED, reduction="sum"
    )
    background = (labels == 0).sum()
    objects = (labels > 0).sum()
    count = background * background_weight + objects
    return batch_sum(total) / batch_sum(count).clamp(min=1)


def soft_jaccard_loss(
    logits: torch.Tensor, labels: torch.Tensor, slots: torch.Tensor
) -> torch.Tensor:
    """Return one minus the mean soft Jaccard index of the classes in the truth.

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
        return batch_sum(sums.index_add(0, classes.flatten(), values.flatten())[:EMPTY])

    occurs = by_class(truth.sum((2, 3))) > 0
    scores = by_class(intersections) / by_class(unions).clamp(min=1e-6)
    return ((1 - scores) * occurs).sum() / occurs.sum().clamp(min=1)


def dice_loss(logits: torch.Tensor, labels: torch.Tensor, *, of_batch: bool = True) -> torch.Tensor:
    """Return one minus the mean soft Dice index, ``2 sum(p y) / (sum(p) + sum(y))`` of a class.

    It is 0 if no pixel counts.

    Args:
        logits: of the masks.
        labels: true ones.
        of_batch: whether the masks are a share of a batch, over which the index is computed.
    """
    add = batch_sum if of_batch else lambda values: values
    pixels, labels = _counted(logits.movedim(1, -1).flatten(0, 2), labels.flatten())
    probabilities = pixels.float().softmax(1)
    counts = add(torch.bincount(labels, minlength=probabilities.shape[1]))
    classes = counts.nonzero().flatten()
    own = probabilities.gather(1, labels[:, None]).flatten()
    overlap = add(probabilities.new_zeros(len(counts)).index_add(0, labels, own))[classes]
    total = (add(probabilities.sum(0)) + counts)[classes]
    return (1 - 2 * overlap / total).sum() / max(len(classes), 1)


def lovasz_softmax_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the Lovasz extension of one minus the Jaccard index (arXiv 1705.08790).

    Unlike Dice it is exact for masks of zeros and ones, and slower: it sorts the pixels once for
    every class. It is 0 if no pixel counts.
    """
    planes = logits.float().softmax(1).movedim(1, 0).flatten(1)
    pixels, labels = _counted(planes.T, labels.flatten())
    probabilities = pixels.T
    losses = [probabilities.sum() * 0]
    of_batch = batch_cat(labels)
    for number in of_batch.unique():
        errors = ((labels == number).float() - probabilities[number]).abs()
        errors, order = batch_cat(errors).sort(descending=True)
        truth = (of_batch == number).float()
        losses.append((errors * _lovasz_weights(truth[order])).sum())
    return torch.stack(losses).sum() / max(len(losses) - 1, 1)


def _counted(pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pixels ``(P, C)`` that count, and their labels ``(P,)``."""
    counts = labels != IGNORED
    return (pixels, labels) if counts.all() else (pixels[counts], labels[counts])


def _lovasz_weights(truth: torch.Tensor) -> torch.Tensor:
    """Return how much each pixel, most wrong first, adds to one minus the Jaccard index.

    Args:
        truth: 0 or 1, ``(P,)``.
    """
    remaining = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    distance = 1 - remaining / union
    return torch.diff(distance, prepend=distance.new_zeros(1))
