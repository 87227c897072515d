import pytest
import torch

from vps_d2.modeling.vis.masked_decoder import Prediction
from vps_d2.modeling.vis.point_sampling import draw_uncertain_points, read_points
from vps_d2.modeling.vis.set_criterion import HungarianMatcher, SetCriterion, Target

NUM_CLASSES = 4
SIZE = (16, 24)


@pytest.fixture
def criterion() -> SetCriterion:
    matcher = HungarianMatcher(class_weight=2, mask_weight=5, dice_weight=5, num_points=200)
    return SetCriterion(NUM_CLASSES, matcher=matcher, num_points=200)


def squares(*corners: tuple[int, int]) -> torch.Tensor:
    masks = torch.zeros(len(corners), *SIZE, dtype=torch.bool)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + 6, left : left + 6] = True
    return masks


TARGETS = [
    Target(torch.tensor([3, 1]), squares((1, 2), (8, 14))),
    Target(torch.zeros(0, dtype=torch.int64), squares()),
    Target(torch.tensor([0]), squares((4, 9))),
]


def say(targets: list[Target], places: list[list[int]], sure: float = 20.0) -> Prediction:
    """What five queries say if the objects are found by the queries in ``places``."""
    logits = torch.full((len(targets), 5, NUM_CLASSES + 1), 0.0)
    logits[..., -1] = sure
    masks = torch.full((len(targets), 5, *SIZE), -sure)
    for frame, (target, queries) in enumerate(zip(targets, places, strict=True)):
        for number, query in enumerate(queries):
            logits[frame, query, -1] = 0.0
            logits[frame, query, target.classes[number]] = sure
            masks[frame, query][target.masks[number]] = sure
    return Prediction(logits, masks, torch.zeros(len(targets), 5, 8))


def test_the_right_queries_are_found_and_cost_nothing(criterion: SetCriterion) -> None:
    places = [[4, 1], [], [2]]
    losses, matches = criterion([say(TARGETS, places)], TARGETS)
    for match, queries in zip(matches, places, strict=True):
        found = dict(zip(match.objects.tolist(), match.queries.tolist(), strict=True))
        assert [found[number] for number in range(len(queries))] == queries
    assert losses.keys() == {"loss_ce", "loss_mask", "loss_dice"}
    assert losses["loss_ce"] < 1e-6
    # Most points lie where an object and its surroundings mix.
    assert losses["loss_mask"] < 5 and losses["loss_dice"] < 1.5


def test_mistakes_cost(criterion: SetCriterion) -> None:
    places = [[4, 1], [], [2]]
    right, _ = criterion([say(TARGETS, places)], TARGETS)
    other = [Target(each.classes.flip(0), each.masks) for each in TARGETS]
    wrong_class, _ = criterion([say(other, places)], TARGETS)
    assert wrong_class["loss_ce"] > right["loss_ce"] + 1
    moved = [Target(each.classes, each.masks.roll(4, dims=2)) for each in TARGETS]
    wrong_mask, _ = criterion([say(moved, places)], TARGETS)
    assert wrong_mask["loss_mask"] > right["loss_mask"] + 5
    assert wrong_mask["loss_dice"] > right["loss_dice"] + 0.5


def test_an_object_too_many_costs_little(criterion: SetCriterion) -> None:
    more = [TARGETS[0], TARGETS[2], TARGETS[2]]
    extra, _ = criterion([say(more, [[4, 1], [0], [2]])], TARGETS)
    missed, _ = criterion([say([TARGETS[1]] * 3, [[], [], []])], TARGETS)
    assert 0.1 < extra["loss_ce"] < missed["loss_ce"]


def test_every_layer_has_losses_and_a_matching(criterion: SetCriterion) -> None:
    early, late = say(TARGETS, [[0, 3], [], [1]]), say(TARGETS, [[4, 1], [], [2]])
    losses, matches = criterion([early, late], TARGETS)
    assert {"loss_ce_0", "loss_mask_0", "loss_dice_0", "loss_ce"} < losses.keys()
    assert losses["loss_ce_0"] < 1e-6
    assert sorted(matches[0].queries.tolist()) == [1, 4]


def test_no_object_at_all(criterion: SetCriterion) -> None:
    prediction = say(TARGETS[1:2], [[]], sure=1.0)
    prediction.masks.requires_grad_()
    losses, matches = criterion([prediction], TARGETS[1:2])
    assert not len(matches[0].queries)
    assert losses["loss_mask"] == losses["loss_dice"] == 0 and losses["loss_ce"] > 0
    sum(losses.values(), torch.zeros(())).backward()  # in training, every weight needs a gradient
    assert prediction.masks.grad is not None


def test_points_are_read_alike_at_any_resolution() -> None:
    masks = torch.rand(3, 5, 7)
    points = torch.rand(1, 11, 2)
    alike = read_points(masks, points)
    torch.testing.assert_close(alike, read_points(masks, points.expand(3, -1, -1)))
    finer = masks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    centers = torch.tensor([[[2.5 / 7, 1.5 / 5]]])
    torch.testing.assert_close(read_points(finer, centers), read_points(masks, centers))
    assert read_points(masks[:0], points).shape == (0, 11)


def test_uncertain_points_are_preferred() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-10, 10, 40).expand(1, 8, 40)  # uncertain in the middle
    points = draw_uncertain_points(ramp, 100, 3.0, 0.75)
    assert points.shape == (1, 100, 2)
    distances = (points[0, :, 0] - 0.5).abs()
    assert (distances[:75] < 0.15).float().mean() > 0.9
    assert (distances[75:] > 0.2).any()
