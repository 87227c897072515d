from typing import Any

import numpy as np
import pytest
from fvcore.transforms.transform import HFlipTransform, TransformList

from vps_d2.d2.data import transforms as T


def _image(height: int = 6, width: int = 8) -> np.ndarray:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_input_is_transformed_in_place_and_the_transform_is_returned() -> None:
    inputs = T.AugInput(_image())
    transform = T.RandomFlip(prob=1.0)(inputs)
    assert isinstance(transform, T.Transform)
    assert (inputs.image == _image()[:, ::-1]).all()
    assert (transform.apply_image(_image()) == inputs.image).all()
    mask = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert (transform.apply_segmentation(mask) == mask[:, ::-1]).all()


def test_flip() -> None:
    image = _image()
    assert isinstance(T.RandomFlip(prob=0.0).get_transform(image), T.NoOpTransform)
    assert isinstance(T.RandomFlip(prob=1.0).get_transform(image), HFlipTransform)
    vertical = T.RandomFlip(prob=1.0, horizontal=False, vertical=True).get_transform(image)
    assert (vertical.apply_image(image) == image[::-1]).all()
    with pytest.raises(ValueError):
        T.RandomFlip(horizontal=True, vertical=True)
    with pytest.raises(ValueError):
        T.RandomFlip(horizontal=False, vertical=False)


def test_flip_follows_the_seed() -> None:
    def draw() -> list[type]:
        np.random.seed(3)
        return [type(T.RandomFlip().get_transform(_image())) for _ in range(20)]

    assert draw() == draw()
    assert set(draw()) == {T.NoOpTransform, HFlipTransform}


class _Marks(T.Augmentation):
    """Notes what it was shown."""

    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self.seen = seen

    def get_transform(self, image: np.ndarray) -> T.Transform:
        self.seen.append(image.copy())
        return T.NoOpTransform()


def test_augmentations_see_what_those_before_have_made() -> None:
    seen: list[Any] = []
    inputs = T.AugInput(_image())
    vertical = T.RandomFlip(prob=1.0, horizontal=False, vertical=True)
    transforms = T.AugmentationList([T.RandomFlip(prob=1.0), _Marks(seen), vertical])(inputs)
    assert isinstance(transforms, TransformList) and len(transforms.transforms) == 3
    assert (seen[0] == _image()[:, ::-1]).all()
    assert (inputs.image == _image()[::-1, ::-1]).all()
    assert (transforms.apply_image(_image()) == inputs.image).all()


def test_no_augmentation_leaves_the_picture_as_it_is() -> None:
    inputs = T.AugInput(_image())
    transforms = T.AugmentationList([])(inputs)
    assert (transforms.apply_image(_image()) == _image()).all()
    assert (inputs.image == _image()).all()


@pytest.mark.parametrize("image", [[[1, 2]], np.zeros(5, dtype=np.uint8)])
def test_what_is_no_image(image: Any) -> None:
    with pytest.raises(AssertionError):
        T.AugInput(image)


def test_both_engines_draw_alike(twins: Any) -> None:
    drawn = []
    for module in twins("data.transforms"):
        np.random.seed(0)
        inputs = [module.AugInput(_image()) for _ in range(10)]
        augmentations = [module.RandomFlip(), module.RandomFlip(0.3)]
        for one in inputs:
            module.AugmentationList(augmentations)(one)
        drawn.append([one.image for one in inputs])
    for one, other in zip(*drawn, strict=True):
        assert one.shape == other.shape and (one == other).all()


@pytest.mark.parametrize(
    ("lengths", "style", "most", "shapes"),
    [
        ((12,), "choice", 1000, {(12, 16)}),
        ((3, 12), "choice", 1000, {(3, 4), (12, 16)}),
        ((12,), "choice", 8, {(6, 8)}),
        ((7, 9), "range", 1000, {(7, 9), (8, 11), (9, 12)}),
        ((0,), "choice", 4, {(6, 8)}),
    ],
)
def test_shortest_edge(lengths: Any, style: str, most: int, shapes: set[tuple[int, int]]) -> None:
    resize = T.ResizeShortestEdge(lengths, most, style)
    drawn = [resize.get_transform(_image()) for _ in range(30)]
    assert {one.apply_image(_image()).shape[:2] for one in drawn} == shapes
    mask = np.full((6, 8), 7, np.uint8)
    mask[:, 4:] = 0
    resized = drawn[0].apply_segmentation(mask)
    assert set(np.unique(resized)) == {0, 7} and resized.shape in shapes
    coords = drawn[0].apply_coords(np.array([[8.0, 6.0]]))
    assert coords.round().tolist() == [[resized.shape[1], resized.shape[0]]]


@pytest.mark.parametrize(
    ("kind", "size", "shapes"),
    [
        ("relative", (0.5, 0.25), {(3, 2)}),
        ("absolute", (4, 100), {(4, 8)}),
        ("absolute_range", (5, 7), {(rows, columns) for rows in (5, 6) for columns in (5, 6, 7)}),
        (
            "relative_range",
            (0.9, 0.8),
            {(rows, columns) for rows in (5, 6) for columns in (6, 7, 8)},
        ),
    ],
)
def test_crop(kind: str, size: Any, shapes: set[tuple[int, int]]) -> None:
    crop = T.RandomCrop(kind, size)
    cut = [crop.get_transform(_image()).apply_image(_image()) for _ in range(60)]
    assert {one.shape[:2] for one in cut} <= shapes
    corners = {tuple(one[0, 0]) for one in cut}
    assert len(corners) > 1 or shapes == {(6, 8)}
    assert all(one[0, -1, 0] == one[0, 0, 0] + 3 * (one.shape[1] - 1) for one in cut)


def test_both_engines_resize_and_crop_alike(twins: Any) -> None:
    drawn = []
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    for module in twins("data.transforms"):
        np.random.seed(0)
        augmentations = [
            module.ResizeShortestEdge((20, 60), 70, "range"),
            module.ResizeShortestEdge((32, 64), 1000, "choice"),
            module.RandomCrop("relative_range", (0.5, 0.7)),
            module.RandomCrop("absolute_range", (12, 30)),
        ]
        results = []
        for _ in range(10):
            inputs = module.AugInput(image)
            transforms = module.AugmentationList(augmentations)(inputs)
            results += [inputs.image, transforms.apply_segmentation(image[..., 0])]
        drawn.append(results)
    for one, other in zip(*drawn, strict=True):
        assert one.shape == other.shape and (one == other).all()
