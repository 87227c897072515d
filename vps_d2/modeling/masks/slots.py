"""Slots for the classes of a video: only the few that occur, instead of all.

Few classes occur in one video, so a network need not distinguish all of them: each slot holds one
class of the video, and slots are predicted.

Shapes: ``N`` videos, ``T`` frames, ``K`` slots, ``C`` classes with background, ``H`` rows, ``W``
columns. Masks are uint8 with class numbers. Slots are int64 ``(N, K)`` with the class number of
each slot, or EMPTY. A label is 0 for background and ``k + 1`` for slot ``k``. Memberships are float
``(N, T, K, H, W)``, 0-1: how much a pixel belongs to the class of a slot.
"""

import torch
import torch.nn.functional as F

EMPTY = 255
"""Stands for the class number of an empty slot."""


def count_pixels(masks: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return how many pixels each class has in each video.

    Args:
        masks: ``(N, T, H, W)``.
        num_classes: ``C``; other numbers are not counted.

    Returns:
        int64 ``(N, C)``.
    """
    labels = masks.flatten(1).long()
    counts = labels.new_zeros(labels.shape[0], EMPTY + 1)
    return counts.scatter_add(1, labels, torch.ones_like(labels))[:, :num_classes]


def assign_slots(counts: torch.Tensor, num_slots: int) -> torch.Tensor:
    """Put the classes of each video into slots, the largest first.

    Args:
        counts: of the pixels, int64 ``(N, C)``. If there are more classes than slots, those with
            the most pixels get one.
        num_slots: ``K``.

    Returns:
        slots.
    """
    objects = counts[:, 1:]
    # Of classes with as many pixels the first one comes first, which ONNX cannot sort by.
    count = objects.shape[1]
    ranks = torch.arange(count - 1, -1, -1, device=counts.device)
    order = (objects * count + ranks).topk(count, dim=1).indices
    occurs = objects.gather(1, order) > 0
    slots = torch.where(occurs, order + 1, EMPTY)
    if num_slots > slots.shape[1]:
        slots = F.pad(slots, (0, num_slots - slots.shape[1]), value=EMPTY)
    return slots[:, :num_slots]


def every_class(num_videos: int, num_classes: int, device: torch.device) -> torch.Tensor:
    """Return slots ``(N, C - 1)`` that hold all object classes in order: one-hot masks."""
    return torch.arange(1, num_classes, device=device).expand(num_videos, -1)


def masks_to_memberships(
    masks: torch.Tensor, slots: torch.Tensor, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Return the memberships, 0 or 1, of the pixels of masks ``(N, T, H, W)``."""
    return (masks[:, :, None] == slots[:, None, :, None, None]).to(dtype)


def masks_to_labels(masks: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Return the labels int64 of masks ``(N, T, H, W)``; a class without a slot is background."""
    num_videos, num_slots = slots.shape
    table = torch.zeros(num_videos, EMPTY + 1, dtype=torch.long, device=slots.device)
    table.scatter_(1, slots, torch.arange(1, num_slots + 1, device=slots.device).expand_as(slots))
    table[:, EMPTY] = 0
    return table.gather(1, masks.long().flatten(1)).reshape(masks.shape)


def to_class_logits(logits: torch.Tensor, slots: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the logits of slots as logits of classes.

    Args:
        logits: ``(N, ..., K + 1, H, W)``, background first.
        slots: of the videos.
        num_classes: ``C``.

    Returns:
        ``(N, ..., C, H, W)``; minus infinity for a class that has no slot.
    """
    # One class more, for empty slots, which is dropped in the end.
    numbers = F.pad(slots.masked_fill(slots == EMPTY, num_classes), (1, 0))
    numbers = numbers.reshape(slots.shape[0], *[1] * (logits.ndim - 4), -1, 1, 1).expand_as(logits)
    shape = (*logits.shape[:-3], num_classes + 1, *logits.shape[-2:])
    classes = logits.new_full(shape, -torch.inf).scatter(-3, numbers, logits)
    return classes[..., :num_classes, :, :]


def slot_groups(slots: torch.Tensor, groups: torch.Tensor, num_groups: int) -> torch.Tensor:
    """Return the group of the class of each slot, one-hot: spheres roll, cubes do not.

    Args:
        slots: of the videos.
        groups: of each object class, int64 ``(C - 1,)``, numbered from 0.
        num_groups: of all classes.

    Returns:
        float ``(N, K, num_groups)``, zeros for an empty slot.
    """
    numbers = F.pad(groups, (1, EMPTY - len(groups)), value=-1)  # for each class number, and EMPTY
    return (numbers[slots][..., None] == torch.arange(num_groups, device=slots.device)).float()
