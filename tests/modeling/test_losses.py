import itertools

import pytest
import torch

from vps_d2.modeling.losses import IGNORED, dice_loss, lovasz_softmax_loss, mask_cross_entropy


def certain(labels, num_classes=4, sure=50.0):
    return sure * torch.nn.functional.one_hot(labels, num_classes).movedim(-1, 1).float()


LABELS = torch.tensor([[[0, 0, 1], [2, 2, 1]]])


@pytest.mark.parametrize("loss", [mask_cross_entropy, dice_loss, lovasz_softmax_loss])
def test_nothing_is_lost_by_the_truth(loss):
    assert loss(certain(LABELS), LABELS).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [mask_cross_entropy, dice_loss, lovasz_softmax_loss])
def test_background_alone(loss):
    labels = torch.zeros(2, 3, 3, dtype=torch.int64)
    logits = torch.zeros(2, 4, 3, 3, requires_grad=True)
    value = loss(logits, labels)
    value.backward()
    assert value > 0 and torch.isfinite(logits.grad).all()


def test_the_background_can_weigh_less():
    logits = certain(torch.ones_like(LABELS))
    assert mask_cross_entropy(logits, LABELS, 0.1) < mask_cross_entropy(logits, LABELS)


def test_dice_by_hand():
    # One of the two pixels of class 1 is found, none of class 2's, and background takes the rest.
    guess = torch.tensor([[[0, 0, 1], [0, 0, 0]]])
    expected = [1 - 2 * 2 / (2 + 5), 1 - 2 * 1 / (2 + 1), 1]
    value = dice_loss(certain(guess), LABELS)
    assert value.item() == pytest.approx(sum(expected) / 3, abs=1e-5)


def test_lovasz_of_hard_masks_is_one_minus_jaccard():
    for values in itertools.islice(itertools.product(range(3), repeat=6), 0, None, 37):
        guess = torch.tensor(values).view(1, 2, 3)
        scores = []
        for number in range(3):
            ours, true = guess == number, number == LABELS
            scores.append(1 - (ours & true).sum() / (ours | true).sum())
        value = lovasz_softmax_loss(certain(guess), LABELS)
        assert value.item() == pytest.approx(torch.stack(scores).mean().item(), abs=1e-5)


@pytest.mark.parametrize("loss", [mask_cross_entropy, dice_loss, lovasz_softmax_loss])
def test_pixels_that_do_not_count_change_nothing(loss):
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 2, 3, requires_grad=True)
    labels = LABELS.clone()
    labels[0, :, 2] = IGNORED
    value = loss(logits, labels)
    assert value.item() == pytest.approx(loss(logits[..., :2], LABELS[..., :2]).item(), abs=1e-6)
    nothing = loss(logits, torch.full_like(labels, IGNORED))
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()
