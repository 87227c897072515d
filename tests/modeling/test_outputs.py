import numpy as np
import pytest
import torch

from vps_d2.d2.structures import Instances
from vps_d2.modeling.outputs import best_class, instances_to_semantic


def make_instances(*objects: tuple[int, float, slice], dtype=torch.float32) -> Instances:
    instances = Instances((4, 10))
    masks = torch.zeros(len(objects), 4, 10, dtype=torch.bool)
    for mask, (_, _, columns) in zip(masks, objects, strict=True):
        mask[:, columns] = True
    instances.pred_masks = masks
    instances.pred_classes = torch.tensor([label for label, _, _ in objects], dtype=torch.int64)
    instances.scores = torch.tensor([score for _, score, _ in objects], dtype=dtype)
    return instances


def test_surest_is_on_top() -> None:
    instances = make_instances((4, 0.6, slice(0, 6)), (9, 0.9, slice(4, 8)), (7, 0.4, slice(8, 10)))
    semantic = instances_to_semantic(instances)
    assert semantic.dtype == np.uint8
    assert semantic[0].tolist() == [5, 5, 5, 5, 10, 10, 10, 10, 0, 0]
    assert instances_to_semantic(instances, 0.3)[0, 9] == 8


def test_one_of_each_class() -> None:
    instances = make_instances((0, 0.6, slice(0, 2)), (0, 0.9, slice(4, 6)))
    surest = instances_to_semantic(instances, one_per_class=True)
    assert surest[0].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    every = instances_to_semantic(instances)
    assert every[0].tolist() == [1, 1, 0, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("objects", [(), ((3, 0.1, slice(0, 5)),)])
def test_nothing_is_background(objects: tuple) -> None:
    assert not instances_to_semantic(make_instances(*objects)).any()


def test_scores_in_bfloat16() -> None:
    instances = make_instances((47, 0.9, slice(0, 10)), dtype=torch.bfloat16)
    assert (instances_to_semantic(instances) == 48).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_best_class_is_the_first_of_the_highest(dtype: torch.dtype) -> None:
    # So few values that most pixels have several highest classes.
    scores = torch.randint(-3, 3, (49, 20, 30), generator=torch.manual_seed(0)).to(dtype)
    scores[:, 0, 0] = -torch.inf
    expected = scores.float().argmax(0)
    best = best_class(scores)
    assert best.dtype == torch.uint8
    assert (best == expected).all()


def test_best_class_of_those_that_may_win() -> None:
    scores = torch.arange(5.0)[:, None].repeat(1, 3)
    scores[0, 2] = 9
    assert best_class(scores.clone(), np.array([1, 3])).tolist() == [3, 3, 0]
    assert best_class(scores.clone(), np.array([], np.int64)).tolist() == [0, 0, 0]
    assert best_class(scores.clone()).tolist() == [4, 4, 0]
