from typing import Any

import numpy as np
import pytest

from vps_d2.d2.data import transforms as T


def _image(height: int = 6, width: int = 8) -> np.ndarray:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_input_is_transformed_in_place_and_the_transform_is_returned() -> None:
    sem_seg = np.arange(48, dtype=np.uint8).reshape(6, 8)
    boxes = np.array([[0.0, 1, 3, 5]])
    inputs = T.AugInput(_image(), boxes=boxes.copy(), sem_seg=sem_seg)
    transform = T.RandomFlip(prob=1.0)(inputs)
    assert isinstance(transform, T.Transform)
    assert (inputs.image == _image()[:, ::-1]).all()
    assert (inputs.sem_seg == sem_seg[:, ::-1]).all()
    assert inputs.boxes.tolist() == [[5, 1, 8, 5]]
    assert (transform.apply_image(_image()) == inputs.image).all()


def test_flip() -> None:
    image = _image()
    assert isinstance(T.RandomFlip(prob=0.0).get_transform(image), T.NoOpTransform)
    assert isinstance(T.RandomFlip(prob=1.0).get_transform(image), T.HFlipTransform)
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
    assert set(draw()) == {T.NoOpTransform, T.HFlipTransform}


class _Marks(T.Augmentation):
    """Notes what it was shown."""

    def __init__(self, seen: list[Any]):
        self.seen = seen

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> T.Transform:
        self.seen.append((image.copy(), sem_seg))
        return T.NoOpTransform()


def test_augmentation_is_shown_the_attributes_that_it_names() -> None:
    seen: list[Any] = []
    sem_seg = np.zeros((6, 8), dtype=np.uint8)
    inputs = T.AugInput(_image(), sem_seg=sem_seg)
    flip = T.HFlipTransform(8)
    transforms = T.AugmentationList([flip, _Marks(seen), T.Resize((12, 16))])(inputs)
    assert isinstance(transforms, T.TransformList) and len(transforms.transforms) == 3
    assert (seen[0][0] == _image()[:, ::-1]).all() and seen[0][1].shape == (6, 8)
    assert inputs.image.shape == (12, 16, 3) and inputs.sem_seg.shape == (12, 16)
    again = T.AugInput(_image()).apply_augmentations([flip])
    assert (again.apply_image(_image()) == seen[0][0]).all()


def test_input_without_a_named_attribute() -> None:
    class Bare:
        image = _image()

    with pytest.raises(AttributeError, match="sem_seg"):
        _Marks([])(Bare())


@pytest.mark.parametrize("image", [[[1, 2]], np.zeros(5, dtype=np.uint8)])
def test_what_is_no_image(image: Any) -> None:
    with pytest.raises(AssertionError):
        T.AugInput(image)


def test_resize() -> None:
    image = np.full((6, 8, 3), 7, dtype=np.uint8)
    transform = T.Resize((3, 16)).get_transform(image)
    assert transform.apply_image(image).tolist() == np.full((3, 16, 3), 7).tolist()
    assert transform.apply_coords(np.array([[8.0, 6.0]])).tolist() == [[16, 3]]
    labels = np.zeros((6, 8), dtype=np.uint8)
    labels[:, 4:] = 48
    assert np.unique(transform.apply_segmentation(labels)).tolist() == [0, 48]
    assert transform.inverse().apply_image(transform.apply_image(image)).shape == (6, 8, 3)
    assert T.Resize(5).get_transform(image).apply_image(image).shape == (5, 5, 3)
    assert transform.apply_image(image[:, :, :1]).shape == (3, 16, 1)
    assert transform.apply_image(image.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("size", "length", "longest", "expected"),
    [
        ((160, 240), 80, 1000, (80, 120)),
        ((240, 160), 320, 400, (400, 267)),
        ((160, 240), 0, 1000, (160, 240)),
    ],
)
def test_resize_shortest_edge(
    size: tuple[int, int], length: int, longest: int, expected: tuple[int, int]
) -> None:
    image = np.zeros((*size, 3), dtype=np.uint8)
    inputs = T.AugInput(image)
    T.ResizeShortestEdge((length,), longest, "choice")(inputs)
    assert inputs.image.shape[:2] == expected


def test_resize_shortest_edge_draws_from_a_range() -> None:
    augmentation = T.ResizeShortestEdge((10, 12), sample_style="range")
    drawn = {augmentation.get_transform(_image(20, 20)).new_h for _ in range(60)}
    assert drawn == {10, 11, 12}
    with pytest.raises((AssertionError, ValueError)):
        T.ResizeShortestEdge((10, 12), sample_style="anything")


def test_both_engines_resize_alike(twins: Any) -> None:
    theirs, ours = twins("data.transforms")
    image = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    for pixels in (image, image[:, :, :1], image[:, :, 0], image.astype(np.float32)):
        for size in ((9, 40), (34, 11)):
            one, other = (module.Resize(size).get_transform(pixels) for module in (theirs, ours))
            np.testing.assert_allclose(one.apply_image(pixels), other.apply_image(pixels))
    labels = image[:, :, 0]
    one, other = (module.Resize((9, 40)).get_transform(labels) for module in (theirs, ours))
    assert (one.apply_segmentation(labels) == other.apply_segmentation(labels)).all()
    shapes = [(h, w, s, m) for h in (7, 160) for w in (9, 241) for s in (5, 96) for m in (50, 333)]
    for shape in shapes:
        one, other = (
            module.ResizeShortestEdge.get_output_shape(*shape) for module in (theirs, ours)
        )
        assert one == other, shape


def test_both_engines_draw_alike(twins: Any) -> None:
    drawn = []
    for module in twins("data.transforms"):
        np.random.seed(0)
        inputs = [module.AugInput(_image()) for _ in range(10)]
        augmentations = [module.RandomFlip(), module.ResizeShortestEdge((5, 9), 20, "range")]
        for one in inputs:
            module.AugmentationList(augmentations)(one)
        drawn.append([one.image for one in inputs])
    for one, other in zip(*drawn, strict=True):
        assert one.shape == other.shape and (one == other).all()
