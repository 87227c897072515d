"""Losses of semantic segmentation, beside the cross-entropy of :mod:`vps_d2.modeling.mask_losses`.

Shapes: ``N`` masks, ``C`` classes, ``H`` rows, ``W`` columns. Logits are float ``(N, C, H, W)``,
labels int64 ``(N, H, W)``. All are means over the classes that are in the labels of the batch, as
the Jaccard index is over a split, so that a small object counts as much as a large one.
"""

import torch


def dice_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return one minus the mean soft Dice index, ``2 sum(p y) / (sum(p) + sum(y))`` of a class."""
    probabilities = logits.movedim(1, -1).flatten(0, 2).float().softmax(1)
    labels = labels.flatten()
    counts = torch.bincount(labels, minlength=probabilities.shape[1])
    classes = counts.nonzero().flatten()
    own = probabilities.gather(1, labels[:, None]).flatten()
    overlap = torch.zeros_like(probabilities[0]).index_add(0, labels, own)[classes]
    total = (probabilities.sum(0) + counts)[classes]
    return (1 - 2 * overlap / total).mean()


def lovasz_softmax_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the Lovasz extension of one minus the Jaccard index (arXiv 1705.08790).

    Unlike Dice it is exact for masks of zeros and ones, and slower: it sorts the pixels once for
    every class.
    """
    probabilities = logits.float().softmax(1).movedim(1, 0).flatten(1)
    labels = labels.flatten()
    losses = []
    for number in labels.unique():
        truth = (labels == number).float()
        errors, order = (truth - probabilities[number]).abs().sort(descending=True)
        losses.append((errors * _lovasz_weights(truth[order])).sum())
    return torch.stack(losses).mean()


def _lovasz_weights(truth: torch.Tensor) -> torch.Tensor:
    """Return how much each pixel, most wrong first, adds to one minus the Jaccard index.

    Args:
        truth: 0 or 1, ``(P,)``.
    """
    remaining = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    distance = 1 - remaining / union
    return torch.diff(distance, prepend=distance.new_zeros(1))
