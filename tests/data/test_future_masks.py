"""Clips of masks, their noise, and targets behind a gap."""

import numpy as np
import pytest
import torch

from tests.conftest import make_video
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.data import transforms as T
from vps_d2.data import register_synthetic_masks, register_videos
from vps_d2.data.clips import ClipSpec
from vps_d2.data.mappers import FutureFramesMapper, FutureMasksMapper, build_mapper
from vps_d2.data.mask_noise import MaskNoise, build_mask_noise
from vps_d2.data.synthetic import make_dataset
from vps_d2.io.errors import UserError


def test_masks_in_training(tiny_names):
    mapper = FutureMasksMapper(is_train=True, clip=ClipSpec(11, 11))
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[1])
    masks = torch.from_numpy(make_video(1)[1])
    assert sample["masks"].dtype == torch.uint8
    assert torch.equal(sample["masks"], masks[:11])
    assert torch.equal(sample["target_masks"], masks[11:])
    assert sample["target_valid"].tolist() == [True] * 11


def test_a_clip_is_flipped_as_a_whole_and_only_its_input_noisy(tiny_names):
    mapper = FutureMasksMapper(
        is_train=True,
        clip=ClipSpec(11, 11),
        flips=[T.RandomFlip(prob=1.0)],
        noise=MaskNoise(prob=1.0, missed_object=1.0),
    )
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[0])
    assert not sample["masks"].any()
    assert torch.equal(sample["target_masks"], torch.from_numpy(make_video(0)[1]).flip(-1)[11:])


def test_targets_beyond_the_video_are_background(tiny_names):
    mapper = FutureMasksMapper(is_train=True, clip=ClipSpec(5, 8), strides=(2,))
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[0])
    assert sample["target_valid"].tolist() == [True] * 6 + [False] * 2
    assert torch.equal(sample["target_masks"][5], torch.from_numpy(make_video(0)[1][20]))
    assert not sample["target_masks"][6:].any()


@pytest.mark.parametrize("num_input", [4, 11])
def test_evaluation_starts_from_the_known_frames(tiny_names, num_input):
    mapper = FutureMasksMapper(
        is_train=False, clip=ClipSpec(num_input, 2, 3), num_known=11, strides=(1, 2)
    )
    sample = mapper(DatasetCatalog.get(tiny_names["val"])[0])
    masks = torch.from_numpy(make_video(2)[1])
    assert torch.equal(sample["masks"], masks[11 - num_input : 11])
    assert torch.equal(sample["target_masks"], masks[14:16])
    assert {"video_id", "video_name", "height", "width"} < set(sample)


def test_videos_without_masks_are_a_sentence(tiny_names):
    mapper = FutureMasksMapper(is_train=True, clip=ClipSpec(11, 11))
    with pytest.raises(UserError, match=r"missing mask.*use labeled videos"):
        mapper(DatasetCatalog.get(tiny_names["unlabeled"])[0])


def test_generated_masks_are_those_of_the_videos(tmp_path):
    make_dataset(tmp_path, {"train": 2}, seed=7, workers=1)
    register_synthetic_masks("masks_of_test_future_masks", 2, seed=7)
    register_videos("videos_of_test_future_masks", tmp_path / "train")
    mapper = FutureMasksMapper(is_train=True, clip=ClipSpec(11, 11))
    drawn = [mapper(record) for record in DatasetCatalog.get("masks_of_test_future_masks")]
    read = [mapper(record) for record in DatasetCatalog.get("videos_of_test_future_masks")]
    for ours, theirs in zip(drawn, read, strict=True):
        assert torch.equal(ours["masks"], theirs["masks"])
        assert torch.equal(ours["target_masks"], theirs["target_masks"])
    assert not torch.equal(drawn[0]["masks"], drawn[1]["masks"])


def test_mapper_from_a_configuration(cfg):
    cfg.INPUT.MAPPER = "FutureMasksMapper"
    assert build_mapper(cfg, is_train=True).noise is None
    cfg.INPUT.MASK_NOISE.PROB = 0.5
    assert build_mapper(cfg, is_train=True).noise.prob == 0.5
    assert build_mapper(cfg, is_train=False).noise is None
    assert build_mask_noise(cfg).max_shift == cfg.INPUT.MASK_NOISE.MAX_SHIFT


@pytest.mark.parametrize("is_train", [False, True])
def test_frames_behind_a_gap(tiny_names, is_train):
    mapper = FutureFramesMapper(is_train=is_train, clip=ClipSpec(11, 1, 10))
    sample = mapper(DatasetCatalog.get(tiny_names["train"])[0])
    last = torch.from_numpy(make_video(0)[0][21]).permute(2, 0, 1)
    assert sample["target_frames"].shape == (1, 3, 32, 48)
    assert torch.equal(sample["target_frames"][0], last)
    assert sample["target_valid"].tolist() == [True] and sample["frames"].shape[0] == 11
    hidden = mapper.__class__(is_train=False, clip=ClipSpec(11, 1, 10))(
        DatasetCatalog.get(tiny_names["hidden"])[0]
    )
    assert "target_frames" not in hidden


def test_masks_behind_a_gap(tiny_names, cfg):
    cfg.merge_from_list(["INPUT.MAPPER", "FutureMasksMapper", "INPUT.RANDOM_FLIP", "none"])
    cfg.merge_from_list(["INPUT.NUM_TARGET_FRAMES", 1, "INPUT.TARGET_GAP", 10])
    record = DatasetCatalog.get(tiny_names["train"])[0]
    masks = torch.from_numpy(make_video(0)[1])
    sample = build_mapper(cfg, is_train=True)(record)
    assert torch.equal(sample["masks"], masks[:11])
    assert torch.equal(sample["target_masks"], masks[21:])
    assert sample["target_valid"].tolist() == [True]
    sample = build_mapper(cfg, is_train=False)(record)
    assert torch.equal(sample["target_masks"], masks[21:]) and sample["target_valid"].all()


def masks_of_two():
    masks = np.zeros((6, 20, 30), np.uint8)
    masks[:, 4:12, 4:14] = 5
    masks[:, 0:6, 22:30] = 48  # at the edge
    return masks


def test_no_noise_is_the_same_array():
    masks = masks_of_two()
    assert MaskNoise(prob=0.0, missed_object=1.0)(masks) is masks
    assert np.array_equal(MaskNoise(prob=1.0)(masks), masks)


def test_rough_outlines_stay_near():
    np.random.seed(0)
    masks = masks_of_two()
    noisy = MaskNoise(prob=1.0, rough=1.0, max_shift=1)(masks)
    for number in (5, 48):
        for mask, result in zip(masks == number, noisy == number, strict=True):
            overlap = (mask & result).sum() / (mask | result).sum()
            assert 0.3 < overlap <= 1
    assert not np.array_equal(noisy, masks) and set(np.unique(noisy)) == {0, 5, 48}


def test_objects_are_missed_in_all_masks_or_in_some():
    np.random.seed(0)
    masks = masks_of_two()
    assert not MaskNoise(prob=1.0, missed_object=1.0)(masks).any()
    noisy = MaskNoise(prob=1.0, missed_frame=0.5)(masks)
    found = (noisy == 5).any((1, 2))
    assert found.any() and not found.all()
    assert not MaskNoise(prob=1.0, rough=1.0)(np.zeros_like(masks)).any()
