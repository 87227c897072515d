"""Mappers and augmentation."""

import numpy as np
import pytest
import torch

from tests.conftest import make_video
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.data import transforms as T
from vps_d2.data.augmentation import (
    BlurTransform,
    GaussianBlur,
    LookTransform,
    RandomLook,
    RandomZoom,
    ZoomTransform,
    build_flip,
    build_frame_augmentations,
)
from vps_d2.data.clips import ClipSpec
from vps_d2.data.mappers import FrameMapper, FutureFramesMapper, build_mapper
from vps_d2.io.errors import UserError


def expected(number, index):
    return torch.from_numpy(make_video(number)[0][index].transpose(2, 0, 1).copy())


def test_future_frames_in_training(tiny_names):
    mapper = FutureFramesMapper(is_train=True, clip=ClipSpec(11, 11))
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[1])
    assert sample["frames"].dtype == torch.uint8 and "masks" not in sample
    assert torch.equal(sample["frames"][10], expected(1, 10))
    assert torch.equal(sample["target_frames"][10], expected(1, 21))
    assert sample["target_valid"].tolist() == [True] * 11


def test_invalid_targets_are_black(tiny_names):
    mapper = FutureFramesMapper(is_train=True, clip=ClipSpec(5, 8), strides=(2,))
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[0])
    assert torch.equal(sample["target_frames"][5], expected(0, 20))
    assert not sample["target_frames"][6:].any() and sample["target_frames"].shape[0] == 8


def test_clips_are_flipped_as_a_whole_and_only_inputs_blurred(tiny_names):
    mapper = FutureFramesMapper(
        is_train=True,
        clip=ClipSpec(11, 11),
        flips=[T.RandomFlip(prob=1.0)],
        blurs=[GaussianBlur(1.0, (1.0, 1.0))],
    )
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[0])
    assert torch.equal(sample["target_frames"][0], expected(0, 11).flip(-1))
    blurred = BlurTransform(1.0).apply_image(make_video(0)[0][0][:, ::-1].copy())
    assert np.array_equal(sample["frames"][0].numpy().transpose(1, 2, 0), blurred)


def test_future_frames_in_evaluation(tiny_names):
    mapper = FutureFramesMapper(is_train=False, clip=ClipSpec(4, 2), num_known=11)
    sample = mapper(DatasetCatalog.get(tiny_names["val"])[0])
    assert torch.equal(sample["frames"][3], expected(2, 10))
    assert torch.equal(sample["target_frames"][0], expected(2, 11))
    assert np.array_equal(sample["masks"].numpy(), make_video(2)[1])
    sample = mapper(DatasetCatalog.get(tiny_names["hidden"])[0])
    assert set(sample) == {"video_id", "video_name", "height", "width", "frames"}


def test_frame_mapper(tiny_names):
    record = DatasetCatalog.get(tiny_names["frames"])[27]
    mapper = FrameMapper(is_train=True, augmentations=[T.RandomFlip(prob=1.0)])
    sample = mapper(record)
    mask = make_video(1)[1][5][:, ::-1]
    assert torch.equal(sample["image"], expected(1, 5).flip(-1))
    instances = sample["instances"]
    assert instances.image_size == (32, 48) and len(instances) == 2
    for number, box, bits in zip(
        instances.gt_classes, instances.gt_boxes, instances.gt_masks.tensor, strict=True
    ):
        assert np.array_equal(bits.numpy(), mask == int(number) + 1)
        x0, y0, x1, y1 = box.int().tolist()
        assert bits[y0:y1, x0:x1].all() and bits.sum() == (x1 - x0) * (y1 - y0)
    assert "instances" not in record
    assert "instances" not in FrameMapper(is_train=False)(record)


def test_frame_mapper_leaves_out_what_is_not_asked_for(tiny_names):
    mapper = FrameMapper(is_train=True, with_sem_seg=True, with_instances=False)
    sample = mapper(DatasetCatalog.get(tiny_names["frames"])[0])
    assert "instances" not in sample and sample["sem_seg"].shape == (32, 48)


def test_frame_mapper_takes_an_empty_frame(tiny_names, tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((32, 48), np.uint8))
    record = DatasetCatalog.get(tiny_names["frames"])[0]
    empty = {**record, "mask_file_name": str(tmp_path / "empty.npy"), "mask_index": None}
    instances = FrameMapper(is_train=True)(empty)["instances"]
    assert len(instances) == 0 and instances.gt_boxes.tensor.shape == (0, 4)
    np.save(tmp_path / "empty.npy", np.zeros((16, 48), np.uint8))
    with pytest.raises(UserError, match=r"empty\.npy: mask of the wrong shape"):
        FrameMapper(is_train=True)(empty)


def test_blur_softens_pictures_alone():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 4] = 255
    transform = GaussianBlur(1.0, (1.0, 1.0)).get_transform(image)
    assert 0 < transform.apply_image(image)[4, 5, 0] < transform.apply_image(image)[4, 4, 0] < 255
    mask = image[..., 0]
    assert np.array_equal(transform.apply_segmentation(mask), mask)
    assert isinstance(GaussianBlur(0.0, (1, 1)).get_transform(image), T.NoOpTransform)
    assert np.array_equal(transform.apply_coords(np.ones((2, 2))), np.ones((2, 2)))
    assert isinstance(transform.inverse(), T.NoOpTransform)
    assert BlurTransform(0).apply_image(image) is image


def test_mappers_from_a_configuration(cfg):
    cfg.INPUT.BLUR.PROB = 0.5
    mapper = build_mapper(cfg, is_train=True)
    assert isinstance(mapper, FutureFramesMapper) and len(mapper.blurs.augs) == 1
    assert len(build_mapper(cfg, is_train=False).flips.augs) == 0
    cfg.INPUT.MAPPER = "FrameMapper"
    assert len(build_mapper(cfg, is_train=True).augmentations.augs) == 2
    cfg.INPUT.MAPPER = "Nothing"
    with pytest.raises(UserError, match="FutureFramesMapper"):
        build_mapper(cfg, is_train=True)


@pytest.mark.parametrize("flip, count", [("none", 0), ("horizontal", 1), ("vertical", 1)])
def test_flips(cfg, flip, count):
    cfg.INPUT.RANDOM_FLIP = flip
    assert len(build_flip(cfg)) == count
    cfg.INPUT.RANDOM_FLIP = "sideways"
    with pytest.raises(UserError, match="sideways"):
        build_flip(cfg)


def test_a_zoom_cuts_the_same_window_out_of_picture_and_mask():
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[8:16, 24:36] = 200
    zoom = ZoomTransform(24, 8, 2.0)
    seen, mask = zoom.apply_image(picture), zoom.apply_segmentation(picture[..., 0] // 100)
    assert seen.shape == picture.shape and mask.shape == (32, 48)
    assert mask[:16, :24].all() and mask.sum() == 2 * 16 * 24
    assert (seen[1:15, 1:23] == 200).all() and not seen[18:, 26:].any()
    assert np.array_equal(zoom.apply_coords(np.array([[36.0, 16.0]])), [[24, 16]])


def test_random_windows_stay_in_the_picture():
    np.random.seed(0)
    for _ in range(50):
        zoom = RandomZoom(1.0, 1.5).get_transform(np.zeros((32, 48, 3), np.uint8))
        edges = zoom.apply_coords(np.array([[0.0, 0.0], [48.0, 32.0]]))
        assert (edges[0] <= 0).all() and (edges[1] >= [48, 32]).all()
    nothing = RandomZoom(0.0, 1.5).get_transform(np.zeros((32, 48, 3), np.uint8))
    assert isinstance(nothing, T.NoOpTransform)


def test_looks_change_the_picture_alone():
    np.random.seed(0)
    picture = np.full((32, 48, 3), 100, np.uint8)
    lit = LookTransform(np.array([1.1, 1.0, 3.0])).apply_image(picture)
    assert (lit == [110, 100, 255]).all()
    noisy = LookTransform(np.ones(3), noise=4.0).apply_image(picture).astype(float)
    assert 3 < noisy.std() < 5 and (noisy[..., 0] == noisy[..., 2]).all()
    ramp = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[None, :, None], (32, 1, 3))
    stored = LookTransform(np.ones(3), quality=5).apply_image(ramp)
    assert (stored != ramp).any() and abs(stored.astype(float) - ramp).mean() < 20
    mask = np.eye(32, 48, dtype=np.uint8)
    assert LookTransform(np.zeros(3)).apply_segmentation(mask) is mask


def test_augmentations_of_frames_come_from_the_configuration():
    cfg = get_vps_cfg()
    assert len(build_frame_augmentations(cfg)) == 1  # the flip
    cfg.INPUT.ZOOM.PROB = cfg.INPUT.BLUR.PROB = cfg.INPUT.LOOK.JPEG = 0.5
    kinds = [type(each) for each in build_frame_augmentations(cfg)]
    assert kinds == [T.RandomFlip, RandomZoom, GaussianBlur, RandomLook]
