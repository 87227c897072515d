"""StrokeMapper: pictures in which an object is to be found by strokes."""

import cv2
import numpy as np
import pytest
import torch

from tests.data.vos.test_mapper import video_record
from vps_d2.config.checks import check_values
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.data.loader import build_train_loader
from vps_d2.data.mappers import build_mapper
from vps_d2.data.vos.maps import write_object_map
from vps_d2.io.errors import UserError

SIZE = (48, 64)


def config(**changes):
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER = "StrokeMapper"
    cfg.INPUT.S2M.SIZE = SIZE
    cfg.INPUT.S2M.SCENE_SIZE = (64, 64)
    cfg.SEED = 5
    cfg.DATASETS.TRAIN = ("vos_procedural",)
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    for key, value in changes.items():
        cfg.INPUT.S2M[key] = value
    check_values(cfg)
    return cfg


def still_record(folder, object_map):
    """Write a picture that is bright where the map is 1, and dark elsewhere."""
    picture = np.where(object_map[..., None] == 1, 220, 30).astype(np.uint8).repeat(3, 2)
    cv2.imwrite(str(folder / "a.png"), picture)
    write_object_map(folder / "map.png", object_map)
    files = {"file_name": str(folder / "a.png"), "object_map_file_name": str(folder / "map.png")}
    return {"video_id": 4, "video_name": "a", **files}


def two_objects():
    object_map = np.zeros((120, 160), np.uint8)
    object_map[30:80, 40:100] = 1
    object_map[90:110, 120:150] = 2
    return object_map


def test_training_batches_depend_on_the_seed_alone():
    batches = [next(iter(build_train_loader(config()))) for _ in range(2)]
    for one, other in zip(*batches, strict=True):
        assert one["image"].shape == (3, *SIZE) and one["image"].dtype == torch.uint8
        for name in ("object_mask", "mask", "positive", "negative"):
            assert one[name].shape == SIZE and one[name].dtype == torch.bool
            assert torch.equal(one[name], other[name])
        assert torch.equal(one["image"], other["image"])
        assert one["object_mask"].any() and (one["positive"] | one["negative"]).any()
        assert not (one["positive"] & ~one["object_mask"]).any()
        assert not (one["negative"] & one["object_mask"]).any()


def test_there_is_a_mask_with_errors_as_often_as_wanted(tmp_path):
    record = still_record(tmp_path, two_objects())
    for spoiled in (0.0, 1.0):
        mapper = build_mapper(config(SPOILED=spoiled), is_train=True)
        np.random.seed(0)
        masks = [mapper(record)["mask"].any().item() for _ in range(5)]
        assert masks == [spoiled == 1.0] * 5


def test_crops_of_a_picture_show_one_of_its_objects_where_its_mask_is(tmp_path):
    mapper = build_mapper(config(), is_train=True)
    record = still_record(tmp_path, two_objects())
    np.random.seed(0)
    bright, shares = [], []
    for _ in range(12):
        sample = mapper(record)
        image, mask = sample["image"].float().mean(0), sample["object_mask"]
        inside = image[mask].median()
        bright.append(bool(inside > image[~mask].median() + 30))
        shares.append(mask.float().mean().item())
    assert 2 < sum(bright) < 12  # the second object looks like the background
    assert max(shares) > 2 * min(shares)


def test_a_picture_without_objects_teaches_nothing_but_does_not_fail(tmp_path):
    record = still_record(tmp_path, np.zeros((60, 90), np.uint8))
    sample = build_mapper(config(), is_train=True)(record)
    assert not any(sample[name].any() for name in ("object_mask", "mask", "positive", "negative"))


def test_frames_of_videos_are_used_too(tmp_path):
    record = video_record(tmp_path, labeled=(2, 5))
    np.random.seed(0)
    mapper = build_mapper(config(), is_train=True)
    shown = {round(mapper(record)["image"].float().mean().item()) > 35 for _ in range(12)}
    assert shown == {False, True}  # frames 2 and 5 have the brightness 20 and 50
    assert mapper(record)["video_id"] == 3


def test_in_evaluation_a_record_always_gives_the_same(tmp_path):
    record = still_record(tmp_path, two_objects())
    mapper = build_mapper(config(), is_train=False)
    assert torch.equal(mapper(record)["image"], mapper(record)["image"])


@pytest.mark.parametrize(
    ("key", "value"), [("SIZE", (48,)), ("SCENE_SIZE", (48, 8)), ("SPOILED", 1.5)]
)
def test_settings_out_of_range_are_refused(key, value):
    with pytest.raises(UserError, match=rf"INPUT\.S2M\.{key} must be"):
        config(**{key: value})
