"""Pictures of predictions: drawn where they belong, and nowhere else."""

import types

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from vps_d2.d2.embedded.utils import visualizer as embedded
from vps_d2.d2.structures import BitMasks, Boxes, BoxMode, Instances
from vps_d2.d2.utils.visualizer import ColorMode, Visualizer

HEIGHT, WIDTH = 120, 160


class Metadata(types.SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)


METADATA = Metadata(
    thing_classes=["cube", "ball"],
    thing_colors=[(255, 0, 0), (0, 0, 255)],
    stuff_classes=["floor", "cube", "ball"],
    stuff_colors=[(0, 0, 0), (255, 0, 0), (0, 0, 255)],
)


def picture():
    return np.full((HEIGHT, WIDTH, 3), 100, np.uint8)


def instances(count):
    result = Instances((HEIGHT, WIDTH))
    boxes = [[20 + 70 * index, 60, 60 + 70 * index, 100] for index in range(count)]
    masks = torch.zeros(count, HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    result.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    result.pred_classes = torch.arange(count)
    result.scores = torch.full((count,), 0.93)
    result.pred_masks = masks
    return result


def test_objects_are_tinted_in_the_colors_of_their_classes():
    drawn = Visualizer(picture(), METADATA, instance_mode=ColorMode.SEGMENTATION)
    image = drawn.draw_instance_predictions(instances(2)).get_image()
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    red, blue = image[90, 40].astype(int), image[90, 110].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50
    assert (image[5, 5] == 100).all()


@pytest.mark.parametrize("mode", list(ColorMode))
def test_no_object_leaves_the_picture_as_it_is(mode):
    image = Visualizer(picture(), METADATA, instance_mode=mode)
    drawn = image.draw_instance_predictions(instances(0)).get_image()
    assert np.abs(drawn.astype(int) - 100).max() <= 1


def test_semantic_masks():
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.int64)
    mask[60:100, 20:60] = 2
    image = Visualizer(picture(), METADATA).draw_sem_seg(mask).get_image()
    inside = image[95, 55].astype(int)
    assert inside[2] > inside[0] + 50


def test_annotations_of_a_record():
    record = {
        "annotations": [{"bbox": [20, 60, 40, 40], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1}]
    }
    image = Visualizer(picture(), METADATA).draw_dataset_dict(record).get_image()
    assert (image[80, 18:23] != 100).any() and (image[110:, :10] == 100).all()


def test_a_picture_without_annotations():
    assert (Visualizer(picture()).draw_dataset_dict({}).get_image() == 100).all()


def test_scale_and_file(tmp_path):
    visualizer = Visualizer(picture(), METADATA, scale=2.0)
    visualizer.draw_instance_predictions(instances(1))
    path = tmp_path / "picture.png"
    visualizer.get_output().save(str(path))
    assert cv2.imread(str(path)).shape == (2 * HEIGHT, 2 * WIDTH, 3)


@pytest.mark.parametrize("polygons", [True, False])
def test_outlines_of_a_record_are_filled_inside_alone(polygons):
    triangle = [[20.0, 60.0, 60.0, 60.0, 20.0, 100.0]]
    outline = triangle
    if not polygons:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(mask, [np.array(triangle[0], np.int32).reshape(-1, 2)], 1)
        outline = mask_utils.encode(np.asfortranarray(mask))
    record = {
        "annotations": [
            {
                "bbox": [20, 60, 60, 100],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 1,
                "segmentation": outline,
            }
        ]
    }
    visualizer = Visualizer(picture(), METADATA, instance_mode=ColorMode.SEGMENTATION)
    image = visualizer.draw_dataset_dict(record).get_image().astype(int)
    assert image[85, 26][2] > image[85, 26][0] + 50  # in the blue of a ball
    assert (image[95, 52] == 100).all()  # in the box, but beside the triangle


def test_boxes_are_drawn_around_masks():
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 70:90, 30:50] = True
    image = Visualizer(picture(), METADATA).overlay_instances(
        boxes=np.array([[20.0, 60.0, 60.0, 100.0]]), masks=mask, assigned_colors=[(1.0, 0.0, 0.0)]
    )
    image = image.get_image().astype(int)
    assert image[80, 19:22, 0].max() > 125 and image[80, 59:62, 0].max() > 125
    assert image[80, 40, 0] > 125 and (image[80, 25] == 100).all()


@pytest.mark.parametrize("kind", ["array", "tensor", "BitMasks"])
def test_masks_come_in_several_forms(kind):
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 70:90, 30:50] = True
    masks = {"array": mask, "tensor": torch.from_numpy(mask), "BitMasks": BitMasks(mask)}[kind]
    drawn = Visualizer(picture()).overlay_instances(masks=masks, assigned_colors=[(1.0, 0.0, 0.0)])
    assert drawn.get_image()[80, 40, 0] > 125


def test_a_mask_of_a_record_is_drawn():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[60:100, 20:60] = 2
    image = Visualizer(picture(), METADATA).draw_dataset_dict({"sem_seg": mask}).get_image()
    inside = image[95, 55].astype(int)
    assert inside[2] > inside[0] + 50


def test_names_beside_the_edges_are_whole():
    """Detectron2 cuts them off, so this holds for the embedded class alone."""

    def pixels_of_name(left, top):
        box = np.array([[left, top, left + 20, top + 20]], float)
        drawn = embedded.Visualizer(picture()).overlay_instances(
            boxes=box, labels=["cube 93%"], assigned_colors=[(100 / 255,) * 3]
        )
        image = drawn.get_image()
        assert image.max() > 180 and image.min() < 60  # white letters on dark paper
        return (image != 100).sum()

    middle = pixels_of_name(60, 60)
    for left, top in ((0, 0), (140, 0), (0, 100), (140, 100), (158, 119)):
        # Smoothed letters differ a little from place to place in some versions of OpenCV.
        assert pixels_of_name(left, top) == pytest.approx(middle, rel=0.01), (left, top)
