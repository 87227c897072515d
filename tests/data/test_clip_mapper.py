"""Clips with instances, from videos and from single pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from tests.conftest import make_video
from vps_d2.config.checks import check_values
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.data import transforms as T
from vps_d2.data.clip_mapper import ClipInstanceMapper, build_clip_augmentations
from vps_d2.data.datasets import load_records, register_video_instances
from vps_d2.data.loader import build_train_loader
from vps_d2.data.mappers import build_mapper
from vps_d2.data.pictures import read_picture
from vps_d2.data.pseudo_clips import AffineTransform, RandomMotion
from vps_d2.data.tubes import encode_mask
from vps_d2.data.video import write_video
from vps_d2.io.errors import UserError


@pytest.fixture(scope="module")
def videos(tiny_videos):
    register_video_instances("clip_tests_train", tiny_videos / "train")
    return load_records("clip_tests_train")


def expect_whole(sample):
    """Check what holds for every training sample."""
    images, frames = sample["images"], sample["instances"]
    assert images.dtype == torch.uint8 and images.shape[1] == 3
    assert len(images) == len(frames) == len(sample["frame_indices"])
    for instances in frames:
        assert instances.image_size == tuple(images.shape[2:])
        assert torch.equal(instances.gt_ids, frames[0].gt_ids)
        assert torch.equal(instances.gt_classes, frames[0].gt_classes)
        assert instances.gt_ids.dtype == instances.gt_classes.dtype == torch.int64
        assert instances.gt_masks.tensor.shape == (len(instances), *images.shape[2:])
        for mask, box in zip(instances.gt_masks, instances.gt_boxes, strict=True):
            if not mask.any():
                assert not box.any()
                continue
            x0, y0, x1, y1 = box.int().tolist()
            rows, columns = mask.nonzero(as_tuple=True)
            assert (x0, y0) == (columns.min(), rows.min())
            assert (x1, y1) == (columns.max() + 1, rows.max() + 1)
    seen = torch.stack([instances.gt_masks.tensor.flatten(1).any(1) for instances in frames])
    assert seen.any(0).all()


def test_a_clip_of_a_video_shows_its_objects_in_all_frames(videos):
    np.random.seed(0)
    mapper = ClipInstanceMapper(is_train=True, num_frames=3, frame_range=8)
    sample = mapper(videos[1])
    expect_whole(sample)
    frames, masks = make_video(1)
    assert sample["video_id"] == 1 and (sample["height"], sample["width"]) == (32, 48)
    for place, index in enumerate(sample["frame_indices"]):
        assert np.array_equal(sample["images"][place].numpy().transpose(1, 2, 0), frames[index])
        instances = sample["instances"][place]
        assert len(instances) == 2
        for mask, number in zip(instances.gt_masks, instances.gt_classes, strict=True):
            assert np.array_equal(mask.numpy(), masks[index] == int(number) + 1)
    assert "annotations" not in videos[1] and "instances" not in videos[1]


def test_frames_come_from_a_range_in_order_unless_shuffled(videos):
    np.random.seed(0)
    mapper = ClipInstanceMapper(is_train=True, num_frames=3, frame_range=6)
    drawn = [mapper(videos[0])["frame_indices"] for _ in range(80)]
    assert all(a < b < c < a + 6 for a, b, c in drawn)
    assert {clip[0] for clip in drawn} >= {0, 1} and max(clip[2] for clip in drawn) == 21
    consecutive = ClipInstanceMapper(is_train=True, num_frames=3, frame_range=0)
    assert all(a + 2 == c for a, _, c in (consecutive(videos[0])["frame_indices"],))
    shuffled = ClipInstanceMapper(is_train=True, num_frames=3, frame_range=6, shuffle=True)
    drawn = [shuffled(videos[0])["frame_indices"] for _ in range(20)]
    assert any(clip != sorted(clip) for clip in drawn)


def test_a_short_video_is_used_as_a_whole_and_its_last_frame_repeated(videos):
    record = {**videos[0], "annotations": [], "num_frames": 2}
    sample = ClipInstanceMapper(is_train=True, num_frames=4)(record)
    assert sample["frame_indices"] == [0, 1, 1, 1]
    assert torch.equal(sample["images"][1], sample["images"][3])


def test_objects_that_appear_and_vanish_have_empty_masks(videos, tmp_path):
    frames, masks = make_video(0)
    masks[1:] = 0
    masks[1, 3:5, 3:5] = 9
    write_video(tmp_path / "video_0", frames[:2], masks[:2])
    record = {**videos[0], "num_frames": 2, "folder": str(tmp_path / "video_0")}
    record |= {"mask_file_name": str(tmp_path / "video_0" / "mask.npy")}
    del record["file_names"]
    sample = ClipInstanceMapper(is_train=True, num_frames=2)(record)
    expect_whole(sample)
    seen = [frame.gt_masks.tensor.flatten(1).any(1).tolist() for frame in sample["instances"]]
    assert sample["instances"][0].gt_ids.tolist() == [1, 9]
    assert seen == [[True, False], [False, True]]


def test_an_empty_clip_is_drawn_again_but_not_forever(videos):
    rle = encode_mask(np.eye(32, 48, dtype=bool))
    tube = {"id": 5, "category_id": 2, "iscrowd": 0, "areas": [None] * 22}
    tube["segmentations"] = [None] * 21 + [rle]
    record = {**videos[0], "annotations": [tube]}
    np.random.seed(0)
    drawn = ClipInstanceMapper(is_train=True, num_frames=2, empty_tries=500)(record)
    assert drawn["frame_indices"] == [20, 21]
    assert drawn["instances"][0].gt_ids.tolist() == [5]
    assert drawn["instances"][1].gt_masks.tensor.sum() == 32
    crowd = {**record, "annotations": [{**tube, "iscrowd": 1}]}
    sample = ClipInstanceMapper(is_train=True, num_frames=2, empty_tries=2)(crowd)
    expect_whole(sample)
    assert [len(frame) for frame in sample["instances"]] == [0, 0]


def test_all_frames_are_augmented_alike(videos):
    flip = ClipInstanceMapper(is_train=True, num_frames=22, augmentations=[T.RandomFlip(prob=1.0)])(
        videos[1]
    )
    frames, masks = make_video(1)
    for index in range(22):
        image = flip["images"][index].numpy().transpose(1, 2, 0)
        assert np.array_equal(image, frames[index][:, ::-1])
    union = flip["instances"][21].gt_masks.tensor.any(0).numpy()
    assert np.array_equal(union, masks[21][:, ::-1] > 0)


def test_sizes_and_crops_are_those_of_detectron2(videos, cfg):
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (64, 96), 48
    cfg.INPUT.RANDOM_FLIP = "none"
    assert len(build_clip_augmentations(cfg, True)) == 1
    mapper = ClipInstanceMapper(is_train=True, augmentations=build_clip_augmentations(cfg, True))
    np.random.seed(0)
    samples = [mapper(videos[1]) for _ in range(12)]
    assert {tuple(sample["images"].shape[2:]) for sample in samples} == {(64, 96), (96, 144)}
    for sample in samples:
        expect_whole(sample)
        assert (sample["height"], sample["width"]) == (32, 48)
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = (0,), "choice"
    cfg.INPUT.CROP.ENABLED, cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE = True, "absolute", [20, 30]
    mapper = ClipInstanceMapper(is_train=True, augmentations=build_clip_augmentations(cfg, True))
    assert mapper(videos[0])["images"].shape == (2, 3, 20, 30)
    mapper = ClipInstanceMapper(is_train=False, augmentations=build_clip_augmentations(cfg, False))
    assert mapper(videos[0])["images"].shape == (22, 3, 48, 72)


def test_in_inference_a_clip_is_the_whole_video(videos, tiny_names):
    mapper = ClipInstanceMapper(is_train=False, num_frames=2)
    for record in (videos[1], DatasetCatalog.get(tiny_names["hidden"])[0]):
        sample = mapper(record)
        assert sample["frame_indices"] == list(range(record["num_frames"]))
        assert len(sample["images"]) == record["num_frames"] and "instances" not in sample
    frame = mapper(DatasetCatalog.get(tiny_names["frames"])[3])
    assert frame["images"].shape == (1, 3, 32, 48) and frame["frame_indices"] == [0]


def test_a_picture_becomes_a_clip(tiny_names):
    record = DatasetCatalog.get(tiny_names["frames"])[30]
    still = RandomMotion(0, (1, 1), 0)
    sample = ClipInstanceMapper(is_train=True, num_frames=3, motion=still)(record)
    expect_whole(sample)
    frames, masks = make_video(1)
    assert sample["frame_indices"] == [0, 1, 2] and sample["video_id"] == record["image_id"]
    for image, instances in zip(sample["images"], sample["instances"], strict=True):
        assert np.array_equal(image.numpy().transpose(1, 2, 0), frames[8])
        assert np.array_equal(instances.gt_masks.tensor.any(0).numpy(), masks[8] > 0)
    np.random.seed(0)
    sample = ClipInstanceMapper(is_train=True, num_frames=3, taxonomy=None)(record)
    expect_whole(sample)
    centers = [instances.gt_boxes.tensor[0, :2].tolist() for instances in sample["instances"]]
    assert len({tuple(center) for center in centers}) == 3
    color = torch.from_numpy(frames[8][masks[8] == masks[8].max()].mean(0))
    for image, instances in zip(sample["images"], sample["instances"], strict=True):
        bits = instances.gt_masks.tensor[-1]
        assert (image[:, bits].double().mean(1) - color).abs().max() < 25  # masks follow pixels


def test_a_picture_of_coco_becomes_a_clip(tmp_path):
    path = tmp_path / "picture.jpg"
    Image.new("RGB", (40, 30), (10, 200, 30)).save(path)
    polygon = [5.0, 5.0, 15.0, 5.0, 15.0, 15.0, 5.0, 15.0]
    uncompressed = {"size": [30, 40], "counts": [600, 90, 510]}
    annotations = [
        {"category_id": 3, "segmentation": [polygon], "iscrowd": 0, "bbox": [5, 5, 10, 10]},
        {"category_id": 1, "segmentation": uncompressed, "iscrowd": 0},
        {"category_id": 2, "segmentation": uncompressed, "iscrowd": 1},
    ]
    record = {"file_name": str(path), "image_id": 7, "annotations": annotations}
    mapper = ClipInstanceMapper(is_train=True, motion=RandomMotion(0, (1, 1), 0))
    sample = mapper(record)
    expect_whole(sample)
    assert sample["images"].shape == (2, 3, 30, 40) and sample["video_id"] == 7
    assert sample["instances"][0].gt_classes.tolist() == [3, 1]
    assert sample["instances"][1].gt_masks.tensor.flatten(1).sum(1).tolist() == [100, 90]
    annotations[0]["segmentation"] = {"size": [30, 41], "counts": [1230]}
    with pytest.raises(UserError, match=r"picture.jpg has an RLE of size \[30, 41\]"):
        mapper(record)
    with pytest.raises(UserError, match="neither annotations nor a mask"):
        mapper({"file_name": str(path)})


def test_the_loader_mixes_videos_and_pictures(videos, tiny_names, cfg):
    cfg.INPUT.MAPPER, cfg.INPUT.MIN_SIZE_TRAIN = "ClipInstanceMapper", (0,)
    cfg.DATASETS.TRAIN = ("clip_tests_train", tiny_names["frames"])
    cfg.SOLVER.IMS_PER_BATCH = 46
    batch = next(iter(build_train_loader(cfg)))
    assert sum("video_name" in sample for sample in batch) == 2
    for sample in batch:
        expect_whole(sample)
    again = next(iter(build_train_loader(cfg)))
    assert all(
        torch.equal(one["images"], other["images"]) for one, other in zip(batch, again, strict=True)
    )


def test_motion_moves_points_as_it_moves_pixels():
    np.random.seed(1)
    mask = np.zeros((60, 80), np.uint8)
    mask[28:31, 50:53] = 1
    for _ in range(5):
        motion = RandomMotion(40, (0.8, 1.2), 0.1).get_transform(mask)
        rows, columns = np.nonzero(motion.apply_segmentation(mask))
        moved = motion.apply_coords(np.array([[51.5, 29.5]]))
        assert np.abs(moved - (columns.mean() + 0.5, rows.mean() + 0.5)).max() < 0.5
    picture = np.full((20, 30, 3), (10, 90, 200), np.uint8)
    away = AffineTransform(np.array([[1.0, 0, 100], [0, 1, 0]]))
    assert (away.apply_image(picture) == picture).all()  # the mean color lies outside
    assert not away.apply_segmentation(picture[..., 0]).any()


def test_faulty_pictures_and_masks_are_named(videos, tmp_path):
    mapper = ClipInstanceMapper(is_train=True)
    files = [str(tmp_path / "none.jpg")] * 22
    with pytest.raises(UserError, match=r"none.jpg: missing picture"):
        mapper({**videos[0], "file_names": files})
    (tmp_path / "none.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(UserError, match=r"none.jpg: unreadable picture"):
        mapper({**videos[0], "file_names": files})
    rle = mask_utils.encode(np.ones((4, 4), np.uint8, order="F"))
    tube = {"id": 1, "category_id": 0, "iscrowd": 0, "segmentations": [rle] * 22, "areas": [16.0]}
    with pytest.raises(UserError, match="masks of 4x4 pixels, but frames of 48x32"):
        mapper({**videos[0], "annotations": [tube], "height": 4, "width": 4})
    np.save(tmp_path / "mask.npy", np.zeros((3, 32, 48), np.uint8))
    with pytest.raises(UserError, match=r"mask.npy: mask of the wrong shape \(3, 32, 48\)"):
        mapper({**videos[0], "mask_file_name": str(tmp_path / "mask.npy")})
    with pytest.raises(UserError, match="has no annotations"):
        mapper({key: videos[0][key] for key in videos[0] if key != "mask_file_name"})


def test_pictures_are_turned_as_their_tag_says(tmp_path):
    picture = Image.new("RGB", (40, 30))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (40, 30, 3)
    with pytest.raises(UserError, match="30x40, others are 40x30"):
        read_picture(tmp_path / "turned.jpg", (30, 40))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CLIP.NUM_FRAMES", 0),
        ("CLIP.MOTION.SCALE", (1.2, 0.8)),
        ("CLIP.MOTION.SHIFT", 2.0),
        ("CROP.SIZE", [0.5, 1.5]),
        ("MIN_SIZE_TRAIN_SAMPLING", "range"),
        ("MIN_SIZE_TRAIN", ()),
    ],
)
def test_values_with_which_no_clip_can_be_made_are_rejected(key, value):
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER = "ClipInstanceMapper"
    assert isinstance(build_mapper(cfg, True), ClipInstanceMapper)
    check_values(cfg)
    cfg.merge_from_list([f"INPUT.{key}", value])
    with pytest.raises(UserError, match=f"INPUT.{key} must be"):
        check_values(cfg)
