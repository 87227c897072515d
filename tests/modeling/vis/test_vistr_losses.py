"""The losses of VisTR: which tube stands for which object, and what it learns."""

import pytest
import torch

from vps_d2.modeling.vis.vistr_losses import TubeCriterion, TubeTargets
from vps_d2.modeling.vis.vistr_network import Tubes

T, K, C, SIDE = 3, 4, 6, 8
NOTHING = C - 1


def make_targets(labels: list[int], hidden: tuple[int, int] | None = None) -> TubeTargets:
    """Return objects side by side, of which one may be hidden in a frame."""
    count = len(labels)
    boxes = torch.zeros(T, count, 4)
    masks = torch.zeros(T, count, SIDE, SIDE, dtype=torch.bool)
    for number in range(count):
        boxes[:, number] = torch.tensor([(number + 0.5) / 4, 0.5, 0.2, 0.5])
        masks[:, number, 2:6, 2 * number : 2 * number + 2] = True
    visible = torch.ones(T, count, dtype=torch.bool)
    if hidden is not None:
        visible[hidden], boxes[hidden], masks[hidden] = False, 0, False
    return TubeTargets(torch.tensor(labels, dtype=torch.int64), boxes, visible, masks)


def make_tubes(target: TubeTargets, instances: list[int]) -> Tubes:
    """Return tubes of which those ``instances`` are the objects, found exactly."""
    logits = torch.zeros(1, 1, T, K, C)
    logits[..., NOTHING] = 50
    boxes = torch.full((1, 1, T, K, 4), 0.9)
    for number, instance in enumerate(instances):
        logits[0, 0, :, instance, NOTHING] = 0
        logits[0, 0, :, instance, target.labels[number]] = 50
        boxes[0, 0, :, instance] = target.boxes[:, number]
        gone = ~target.visible[:, number]
        logits[0, 0, gone, instance] = torch.eye(C)[NOTHING] * 50
    return Tubes(logits, boxes, torch.zeros(1, T, K, 1), torch.zeros(1), [], None)


def draw_true(target: TubeTargets, instances: list[int]) -> torch.Tensor:
    logits = torch.full((T, K, SIDE, SIDE), -50.0)
    for number, instance in enumerate(instances):
        logits[:, instance] += 100 * target.masks[:, number].float()
    return logits


@pytest.mark.parametrize("hidden", [None, (1, 0), (0, 1)])
def test_whole_tubes_are_matched(hidden: tuple[int, int] | None) -> None:
    target = make_targets([2, 3], hidden)
    tubes = make_tubes(target, [3, 1])
    match = TubeCriterion().match(tubes.logits[0, 0], tubes.boxes[0, 0], target)
    assert dict(zip(match.objects.tolist(), match.instances.tolist(), strict=True)) == {0: 3, 1: 1}
    masks = draw_true(target, [3, 1])
    losses = TubeCriterion()(tubes, [target], lambda _, chosen: masks[:, chosen])
    assert set(losses) == {"loss_ce", "loss_bbox", "loss_giou", "loss_mask", "loss_dice"}
    assert all(float(loss) < 1e-3 for loss in losses.values())


def test_a_mistake_in_one_frame_costs_its_share() -> None:
    target = make_targets([2, 3])
    tubes = make_tubes(target, [3, 1])
    masks = draw_true(target, [3, 1])
    tubes.boxes[0, 0, 1, 3, 0] += 0.12
    masks[2, 1] = -50.0
    tubes.logits[0, 0, 0, 0] = torch.eye(C)[1] * 50  # an object where there is none
    losses = TubeCriterion()(tubes, [target], lambda _, chosen: masks[:, chosen])
    assert float(losses["loss_bbox"]) == pytest.approx(5 * 0.12 / 6, rel=1e-4)
    assert float(losses["loss_dice"]) == pytest.approx((1 - 1 / 9) / 6, rel=1e-3)
    # Six queries have a class, and six none, of which one is wrong.
    assert float(losses["loss_ce"]) == pytest.approx(50 * 0.1 / (6 + 6 * 0.1), rel=1e-4)


def test_the_more_costly_frames_decide() -> None:
    """In its first frame, the other tube fits better."""
    target = make_targets([2])
    tubes = make_tubes(target, [0])
    tubes.boxes[0, 0, :, 1] = tubes.boxes[0, 0, :, 0] + 0.2
    tubes.boxes[0, 0, 0, 1] = target.boxes[0, 0]
    tubes.boxes[0, 0, 0, 0] += 0.1
    tubes.logits[0, 0, :, 1] = tubes.logits[0, 0, :, 0]
    match = TubeCriterion().match(tubes.logits[0, 0], tubes.boxes[0, 0], target)
    assert match.instances.tolist() == [0]


def test_clips_without_objects_and_with_too_many() -> None:
    none, many = make_targets([]), make_targets([1, 2, 3, 4, 1, 2])
    tubes = make_tubes(none, [])
    tubes.logits = tubes.logits.repeat(1, 2, 1, 1, 1).requires_grad_()
    tubes.boxes = tubes.boxes.repeat(1, 2, 1, 1, 1).requires_grad_()
    masks = torch.zeros(2, T, K, SIDE, SIDE, requires_grad=True)
    drawn: list[int] = []

    def draw(clip: int, chosen: torch.Tensor) -> torch.Tensor:
        drawn.append(len(chosen))
        return masks[clip][:, chosen]

    losses = TubeCriterion()(tubes, [none, many], draw)
    assert drawn == [1, K]  # one for nothing, so that all weights have gradients
    sum(losses.values()).backward()
    assert masks.grad is not None and not masks.grad[0].any() and masks.grad[1].any()
    losses = TubeCriterion()(tubes, [none, none], draw)
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_bbox"].item() == losses["loss_dice"].item() == 0
