"""What a fusion network learns from, as it is read."""

import cv2
import numpy as np
import pytest
import torch

from tests.data.vos.made import SIZE, true_map, write_videos
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import load_records
from vps_d2.data.mappers import build_mapper
from vps_d2.data.vos.datasets import register_davis
from vps_d2.data.vos.fusion import differing_pixels, register_fusion
from vps_d2.io.errors import UserError

FIRST, SECOND, FRAME = 1, 8, 4


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("fusion")
    write_videos(root / "data", ["one"])
    pair = root / "out" / "one" / f"{FIRST:05d}_{SECOND:05d}"
    pair.mkdir(parents=True)
    for number in (5, 2):
        layers = [255 * (true_map(index) == number) for index in (FIRST, SECOND, FIRST)]
        cv2.imwrite(str(pair / f"{FRAME:05d}_{number:03d}.png"), np.stack(layers[::-1], 2))
    (pair / "notes.txt").touch()
    (root / "out" / "other" / pair.name).mkdir(parents=True)  # of a video of another data set
    register_davis("videos_of_mapper", root / "data")
    register_fusion("fusion_of_mapper", "videos_of_mapper", root / "out")
    yield root
    for name in ("videos_of_mapper", "fusion_of_mapper"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_a_record_is_a_frame_between_two_given_ones(root):
    (record,) = load_records("fusion_of_mapper")
    assert record["objects"] == [2, 5]
    assert [name[-9:] for name in record["file_names"]] == ["00004.png", "00008.png"]
    assert record["distances"] == pytest.approx((3 / 7, 4 / 7))


def test_a_folder_that_does_not_fit_is_refused(root, tmp_path):
    register_fusion("nothing_of_mapper", "videos_of_mapper", tmp_path)
    try:
        with pytest.raises(UserError, match="no result of a video of videos_of_mapper in it"):
            load_records("nothing_of_mapper")
        (tmp_path / "one" / "00002_00099").mkdir(parents=True)
        (tmp_path / "one" / "00002_00099" / "00005_001.png").touch()
        with pytest.raises(UserError, match="frames that one of videos_of_mapper does not have"):
            load_records("nothing_of_mapper")
    finally:
        DatasetCatalog.remove("nothing_of_mapper")
        MetadataCatalog.remove("nothing_of_mapper")


def mapper(is_train, size=SIZE, objects=2):
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER = "FusionMapper"
    cfg.INPUT.VOS.SIZE, cfg.INPUT.VOS.MAX_OBJECTS = size, objects
    return build_mapper(cfg, is_train)


def test_a_sample_holds_what_a_session_has(root):
    record = load_records("fusion_of_mapper")[0]
    sample = mapper(False)(record)
    assert sample["images"].shape == (2, 3, *SIZE)
    assert sample["images"][0, 0, 0, 0] == 20 * FRAME
    assert sample["images"][1, 0, 0, 0] == 20 * SECOND
    # The one that moves comes first, and gets number 1.
    assert torch.equal(sample["object_map"] == 1, torch.from_numpy(true_map(FRAME) == 2))
    assert torch.equal(sample["object_map"] == 2, torch.from_numpy(true_map(FRAME) == 5))
    assert torch.equal(sample["touched"][0] > 0, torch.from_numpy(true_map(SECOND) == 2))
    assert torch.equal(sample["masks"][0, 1] > 0, torch.from_numpy(true_map(SECOND) == 2))
    assert torch.equal(sample["masks"][0, 0], sample["masks"][0, 2])
    assert not torch.equal(sample["masks"][0, 0], sample["masks"][0, 1])
    torch.testing.assert_close(sample["distances"], torch.tensor([3 / 7, 4 / 7]))
    assert mapper(False, objects=1)(record)["masks"].shape == (1, 3, *SIZE)


def test_crops_flip_all_alike_and_show_what_differs(root):
    record = load_records("fusion_of_mapper")[0]
    np.random.seed(0)
    whole, flipped = mapper(False)(record), 0
    for _ in range(8):
        sample = mapper(True)(record)
        turned = sample["masks"].flip(3)
        assert torch.equal(sample["masks"], whole["masks"]) != torch.equal(turned, whole["masks"])
        flipped += torch.equal(turned, whole["masks"])
        sides = [sample["object_map"], sample["touched"][0]]
        wanted = [whole["object_map"], whole["touched"][0]]
        if torch.equal(turned, whole["masks"]):
            sides = [each.flip(1) for each in sides]
        assert all(map(torch.equal, sides, wanted))
    assert 0 < flipped < 8
    small = [mapper(True, (32, 32))(record)["masks"] for _ in range(8)]
    assert all(each.shape == (2, 3, 32, 32) for each in small)
    counts = [differing_pixels(255 * m[0, 0].numpy(), 255 * m[0, 1].numpy()) for m in small]
    assert np.mean(np.array(counts) >= 100) > 0.8
    large = mapper(True, (64, 96))(record)
    assert large["images"].shape == (2, 3, 64, 96) and not large["object_map"][48:].any()
