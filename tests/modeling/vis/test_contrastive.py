import pytest
import torch

from vps_d2.modeling.vis.contrastive import ABSENT, ContrastiveLoss

# What five queries say that stand for different objects, and five that stand for none.
EYE, NOTHING = 4 * torch.eye(10)[:5], 4 * torch.eye(10)[5:]


def total(losses: dict[str, torch.Tensor]) -> float:
    return float(sum(losses.values(), torch.zeros(())).detach())


@pytest.mark.parametrize("memory_share", [0.0, 1.0])
def test_one_object_in_two_queries(memory_share: float) -> None:
    loss = ContrastiveLoss(memory_share=memory_share)
    frames = torch.stack([EYE, EYE[[1, 0, 2, 3, 4]], EYE])
    followed = torch.tensor([[0, 2], [1, 2], [0, 2]])
    mixed_up = torch.tensor([[0, 2], [0, 2], [0, 2]])
    right, wrong = (total(loss([(frames, queries)])) for queries in (followed, mixed_up))
    assert right < 0.01 < 3 < wrong


def test_objects_that_are_hidden() -> None:
    loss = ContrastiveLoss(memory_share=0.0)
    # One is hidden in the middle, the other never seen again: a single comparison.
    seen = torch.tensor([[0, 1], [ABSENT, ABSENT], [0, ABSENT]])
    assert total(loss([(torch.stack([EYE, NOTHING, EYE]), seen)])) < 0.01
    assert total(loss([(torch.stack([EYE, NOTHING, EYE.roll(1, 0)]), seen)])) > 1


def test_nothing_to_compare() -> None:
    embeddings = torch.randn(2, 5, 4, requires_grad=True)
    losses = ContrastiveLoss()([(embeddings, torch.full((2, 3), ABSENT))])
    assert losses.keys() == {"loss_reid", "loss_aux_reid"} and total(losses) == 0
    sum(losses.values(), torch.zeros(())).backward()
    assert embeddings.grad is not None
    losses = ContrastiveLoss()([(embeddings[:1], torch.tensor([[0, 1]]))])  # a clip of one frame
    assert total(losses) == 0


def test_the_mean_resists_an_error() -> None:
    # In the third frame the object is taken for another one; afterwards it is itself again.
    frames = torch.stack([EYE, EYE, EYE.roll(1, 0), EYE])
    queries = torch.zeros(4, 1, dtype=torch.int64)
    of_mean, of_last = (
        total(ContrastiveLoss(memory_share=share)([(frames, queries)])) for share in (1.0, 0.0)
    )
    assert of_mean < of_last
