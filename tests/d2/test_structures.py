import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from tests.d2.engine import engine_module
from vps_d2.d2.structures import BitMasks, Boxes, BoxMode, Instances

ImageList = engine_module("structures").ImageList
pairwise_iou = engine_module("structures").pairwise_iou


def test_box_mode_converts_and_keeps_the_type() -> None:
    assert [int(mode) for mode in (BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)] == [0, 1]
    box, wide = [1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 3.0, 6.0]
    array = np.array([box, box])
    converted = BoxMode.convert(array, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    assert isinstance(converted, np.ndarray) and converted.tolist() == [wide, wide]
    assert array.tolist() == [box, box]
    tensor = BoxMode.convert(torch.tensor([box]), BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    assert tensor.tolist() == [wide]
    assert BoxMode.convert(tensor, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS).tolist() == [box]
    assert BoxMode.convert(tensor, BoxMode.XYWH_ABS, BoxMode.XYWH_ABS).tolist() == [wide]


def test_boxes() -> None:
    boxes = Boxes(torch.tensor([[0.0, 0, 10, 5], [-2, 3, 4, 3], [1, 1, 30, 40]]))
    assert len(boxes) == 3
    assert boxes.area().tolist() == [50, 0, 29 * 39]
    assert boxes.nonempty().tolist() == [True, False, True]
    assert boxes.nonempty(threshold=5).tolist() == [False, False, True]
    assert boxes.inside_box((20, 20)).tolist() == [True, False, False]
    assert boxes.inside_box((20, 20), boundary_threshold=2).tolist() == [True, True, False]
    copied = boxes.clone()
    copied.clip((20, 25))
    assert copied.tensor[1:].tolist() == [[0, 3, 4, 3], [1, 1, 25, 20]]
    assert boxes.tensor[1, 0] == -2
    copied.scale(2, 0.5)
    assert copied.tensor[0].tolist() == [0, 0, 20, 2.5]
    assert boxes[0].tensor.shape == (1, 4)
    assert boxes[boxes.nonempty()].tensor.tolist() == boxes.tensor[[0, 2]].tolist()
    assert [row.shape for row in boxes] == [(4,)] * 3
    assert len(Boxes.cat([boxes, boxes[1:]])) == 5
    assert boxes.to("cpu").device == torch.device("cpu")


def test_no_boxes() -> None:
    for empty in (Boxes(torch.zeros(0)), Boxes(np.zeros((0, 4))), Boxes([]), Boxes.cat([])):
        assert empty.tensor.shape == (0, 4) and empty.tensor.dtype == torch.float32
        assert empty.area().shape == (0,) and empty.nonempty().shape == (0,)
    assert pairwise_iou(Boxes([]), Boxes([[0, 0, 1, 1]])).shape == (0, 1)


def test_pairwise_iou() -> None:
    boxes = Boxes([[0, 0, 2, 2], [1, 1, 1, 1]])
    others = Boxes([[1, 0, 3, 2], [0, 0, 2, 2], [1, 1, 1, 1]])
    expected = torch.tensor([[1 / 3, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(pairwise_iou(boxes, others), expected)


def _masks() -> torch.Tensor:
    masks = torch.zeros(3, 12, 16, dtype=torch.bool)
    masks[0, 2:6, 3:9] = True
    masks[2, 11, 15] = True
    return masks


def test_bit_masks() -> None:
    masks = BitMasks(_masks())
    assert len(masks) == 3 and tuple(masks.image_size) == (12, 16)
    assert masks[0].tensor.shape == (1, 12, 16)
    assert len(masks[torch.tensor([True, False, True])]) == 2
    assert [mask.shape for mask in masks] == [(12, 16)] * 3
    assert BitMasks(_masks().numpy().astype(np.uint8)).tensor.equal(masks.tensor)
    none = BitMasks(torch.zeros(0, 4, 4))
    assert len(none) == 0 and none.crop_and_resize(torch.zeros(0, 4), 8).shape == (0, 8, 8)


def test_bit_masks_crop_and_resize() -> None:
    masks = BitMasks(_masks())[0]
    assert masks.crop_and_resize(torch.tensor([[3.0, 2, 9, 6]]), 8).all()
    half = masks.crop_and_resize(torch.tensor([[0.0, 2, 6, 6]]), 4)
    assert half.dtype == torch.bool
    assert half[0].tolist() == [[False, False, True, True]] * 4


def test_image_list() -> None:
    images = [torch.ones(3, 5, 7), torch.ones(3, 6, 4)]
    batch = ImageList.from_tensors(images, size_divisibility=4)
    assert batch.tensor.shape == (2, 3, 8, 8)
    assert [tuple(size) for size in batch.image_sizes] == [(5, 7), (6, 4)]
    assert batch.tensor[1, :, :6, :4].equal(images[1])
    assert batch.tensor[0, :, 5:].eq(0).all() and batch.tensor[1, :, :, 4:].eq(0).all()
    assert ImageList.from_tensors(images, 1).tensor.shape == (2, 3, 6, 7)
    with pytest.raises(AssertionError):
        ImageList.from_tensors([], 4)


def _instances() -> Instances:
    instances = Instances((12, 16), scores=torch.tensor([0.9, 0.2, 0.6]))
    instances.pred_boxes = Boxes([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]])
    instances.set("names", ["a", "b", "c"])
    return instances


def test_instances() -> None:
    instances = _instances()
    assert len(instances) == 3 and instances.image_size == (12, 16)
    assert instances.has("scores") and not instances.has("gt_boxes")
    assert set(instances.get_fields()) == {"scores", "pred_boxes", "names"}
    with pytest.raises(AttributeError):
        _ = instances.gt_boxes
    with pytest.raises(AssertionError):
        instances.pred_classes = torch.zeros(2)
    del instances.get_fields()["names"]
    kept = instances[instances.scores > 0.5]
    assert kept.pred_boxes.area().tolist() == [1, 9]
    assert instances[1].scores.tolist() == pytest.approx([0.2])
    assert instances[-1].scores.tolist() == pytest.approx([0.6])
    assert len(instances[5:]) == 0
    with pytest.raises(IndexError):
        instances[3]
    assert instances.to("cpu").scores.equal(instances.scores)
    assert "num_instances=3" in str(instances)


def test_instances_survive_copy_and_pickle() -> None:
    for again in (copy.deepcopy(_instances()), pickle.loads(pickle.dumps(_instances()))):
        assert len(again) == 3 and again.names == ["a", "b", "c"]


def test_instances_without_fields() -> None:
    empty = Instances((2, 3))
    assert not empty.has("scores")
    with pytest.raises((TypeError, NotImplementedError)):
        len(empty)
    with pytest.raises((TypeError, NotImplementedError)):
        iter(_instances())


def test_both_engines_agree_on_arithmetic(twins: Any) -> None:
    theirs, ours = twins("structures")
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + torch.rand(20, 2, generator=generator) * 20], dim=1)
    masks = torch.rand(20, 40, 40, generator=generator) > 0.6
    results = []
    for engine in (theirs, ours):
        wrapped = engine.Boxes(boxes.clone())
        bitmaps = engine.BitMasks(masks)
        wrapped.clip((30, 25))
        results.append(
            [
                wrapped.tensor,
                wrapped.area(),
                wrapped.inside_box((29, 24), 1),
                engine.pairwise_iou(wrapped, engine.Boxes(boxes[:7])),
                bitmaps.crop_and_resize(boxes, 14),
            ]
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
