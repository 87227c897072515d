import torch

from vps_d2.data.vps import TAXONOMY, class_id
from vps_d2.modeling.losses import IGNORED, mask_cross_entropy, soft_jaccard_loss
from vps_d2.modeling.masks.slots import (
    EMPTY,
    assign_slots,
    count_pixels,
    every_class,
    masks_to_labels,
    masks_to_memberships,
    slot_groups,
    to_class_logits,
)


def masks_of(*videos: list[int]) -> torch.Tensor:
    """One frame of one row for each video."""
    return torch.tensor(videos, dtype=torch.uint8)[:, None, None]


def test_the_largest_classes_come_first_and_empty_slots_last() -> None:
    masks = masks_of([0, 7, 7, 48, 48, 48], [0] * 6, [0, 3, 0, 0, 0, 0])
    slots = assign_slots(count_pixels(masks, 49), 3)
    assert slots.tolist() == [[48, 7, EMPTY], [EMPTY] * 3, [3, EMPTY, EMPTY]]


def test_more_classes_than_slots_keep_the_largest() -> None:
    masks = masks_of([1, 2, 2, 3, 3, 3])
    slots = assign_slots(count_pixels(masks, 49), 2)
    assert slots.tolist() == [[3, 2]]
    assert masks_to_labels(masks, slots)[0, 0, 0].tolist() == [0, 2, 2, 1, 1, 1]
    assert not masks_to_memberships(masks, slots)[0, 0, :, 0, 0].any()


def test_more_slots_than_classes_exist() -> None:
    slots = assign_slots(count_pixels(masks_of([2, 0]), 49), 60)
    assert slots.shape == (1, 60) and (slots != EMPTY).sum() == 1


def test_all_classes_are_slots_in_order() -> None:
    masks = masks_of([0, 1, 48])
    slots = every_class(1, 49, masks.device)
    assert torch.equal(masks_to_labels(masks, slots), masks.long())
    assert masks_to_memberships(masks, slots)[0, 0, :, 0].sum(0).tolist() == [0, 1, 1]


def test_logits_return_to_their_classes() -> None:
    slots = torch.tensor([[48, EMPTY, 3], [EMPTY, EMPTY, EMPTY]])
    logits = torch.arange(2 * 5 * 4.0).reshape(2, 5, 4, 1, 1)
    classes = to_class_logits(logits, slots, 49)
    assert classes.shape == (2, 5, 49, 1, 1)
    assert torch.equal(classes[0, :, [0, 48, 3]], logits[0, :, [0, 1, 3]])
    assert torch.isinf(classes).sum() == 5 * (46 + 48)
    assert torch.equal(classes[1].argmax(1), torch.zeros(5, 1, 1, dtype=torch.long))


def test_groups_of_slots() -> None:
    numbers = [class_id(shape, "metal", "red") for shape in ("cube", "sphere", "cylinder")]
    slots = torch.tensor([[*numbers, EMPTY, 16, 48]])
    groups = slot_groups(slots, torch.tensor(TAXONOMY.groups), 3)
    assert groups[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]


def one_sided(labels: torch.Tensor, confidence: float = 20.0) -> torch.Tensor:
    one_hot = torch.nn.functional.one_hot(labels.clamp(min=0), 3).permute(0, 3, 1, 2)
    return (confidence * one_hot).requires_grad_()


LABELS = torch.tensor([[[0, 0, 1, 1]], [[0, 2, IGNORED, 0]]])
SLOTS = torch.tensor([[5, 9], [EMPTY, 5]])


def test_the_truth_costs_nothing() -> None:
    logits = one_sided(LABELS)
    assert mask_cross_entropy(logits, LABELS, 0.5) < 1e-6
    assert soft_jaccard_loss(logits, LABELS, SLOTS) < 1e-6


def test_jaccard_loss_is_one_minus_the_score() -> None:
    predicted = torch.tensor([[[0, 0, 0, 1]], [[0, 2, 2, 2]]])
    # Class 5 in two slots: 2 of 4 pixels; background: 3 of 5; ignored pixels count nowhere.
    loss = soft_jaccard_loss(one_sided(predicted, 50.0), LABELS, SLOTS)
    assert abs(loss.item() - (1 - (2 / 4 + 3 / 5) / 2)) < 1e-5


def test_barred_slots_and_ignored_pixels_have_no_gradient() -> None:
    logits = torch.zeros(2, 3, 1, 4, requires_grad=True)
    barred = logits.masked_fill(torch.tensor([False, True, False])[:, None, None], -torch.inf)
    labels = LABELS.clone()
    labels[labels == 1] = 2
    loss = mask_cross_entropy(barred, labels) + soft_jaccard_loss(barred, labels, SLOTS)
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()
    assert not logits.grad[:, 1].any() and not logits.grad[1, :, 0, 2].any()


def test_nothing_to_count_is_no_loss_but_has_a_gradient() -> None:
    labels = torch.full((1, 2, 2), IGNORED)
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = mask_cross_entropy(logits, labels) + soft_jaccard_loss(logits, labels, SLOTS[:1])
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_the_background_weighs_as_told() -> None:
    labels = torch.tensor([[[0, 0, 0, 1]]])
    logits = torch.zeros(1, 3, 1, 4)
    logits[:, 0] = 2.0
    heavy, light = (mask_cross_entropy(logits, labels, weight) for weight in (1.0, 0.1))
    assert light > heavy
