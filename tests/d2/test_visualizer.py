"""Pictures of predictions: drawn where they belong, and nowhere else."""

import types

import numpy as np
import pytest
import torch

from vps_d2.d2 import ENGINE
from vps_d2.d2.embedded.utils import visualizer as embedded
from vps_d2.d2.structures import Boxes, Instances
from vps_d2.d2.utils.visualizer import ColorMode, Visualizer

HEIGHT, WIDTH = 120, 160


class Metadata(types.SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)


METADATA = Metadata(
    thing_classes=["cube", "ball"],
    thing_colors=[(255, 0, 0), (0, 0, 255)],
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


@pytest.mark.parametrize("mode", [ColorMode.IMAGE, ColorMode.SEGMENTATION])
def test_no_object_leaves_the_picture_as_it_is(mode):
    image = Visualizer(picture(), METADATA, instance_mode=mode)
    drawn = image.draw_instance_predictions(instances(0)).get_image()
    assert np.abs(drawn.astype(int) - 100).max() <= 1


def test_scale():
    visualizer = Visualizer(picture(), METADATA, scale=2.0)
    drawn = visualizer.draw_instance_predictions(instances(1))
    assert drawn.get_image().shape == (2 * HEIGHT, 2 * WIDTH, 3)


def shown(visualizer, **fields):
    return visualizer.draw_instance_predictions(Instances((HEIGHT, WIDTH), **fields)).get_image()


def test_boxes_are_drawn_around_masks():
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[0, 70:90, 30:50] = True
    visualizer = Visualizer(picture(), METADATA, instance_mode=ColorMode.SEGMENTATION)
    image = shown(
        visualizer,
        pred_boxes=Boxes(torch.tensor([[20.0, 60.0, 60.0, 100.0]])),
        pred_masks=mask,
        pred_classes=torch.tensor([0]),
    ).astype(int)
    assert image[80, 19:22, 0].max() > 125 and image[80, 59:62, 0].max() > 125
    assert image[80, 40, 0] > 125 and (image[80, 25] == 100).all()


def test_masks_alone():
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[0, 70:90, 30:50] = True
    image = shown(Visualizer(picture()), pred_masks=mask, scores=torch.tensor([0.5]))
    assert (image[80, 40] != 100).any() and (image[110, 100] == 100).all()


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 draws what it must not know of here")
def test_nothing_to_place_draws_nothing():
    assert (shown(Visualizer(picture()), scores=torch.tensor([0.5])) == 100).all()


def test_names_beside_the_edges_are_whole():
    """Detectron2 cuts them off, so this holds for the embedded class alone."""

    # Boxes in the color of the picture are not seen.
    gray = Metadata(thing_classes=["cube"], thing_colors=[(100, 100, 100)])

    def pixels_of_name(left, top):
        image = shown(
            embedded.Visualizer(picture(), gray, instance_mode=embedded.ColorMode.SEGMENTATION),
            pred_boxes=Boxes(torch.tensor([[left, top, left + 20.0, top + 20.0]])),
            pred_classes=torch.tensor([0]),
            scores=torch.tensor([0.93]),
        )
        assert image.max() > 180 and image.min() < 60  # white letters on dark paper
        return (image != 100).sum()

    middle = pixels_of_name(60, 60)
    for left, top in ((0, 0), (140, 0), (0, 100), (140, 100), (158, 119)):
        # Smoothed letters differ a little from place to place in some versions of OpenCV.
        assert pixels_of_name(left, top) == pytest.approx(middle, rel=0.01), (left, top)
