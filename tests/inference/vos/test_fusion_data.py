"""What ``vps-d2 generate-fusion`` writes, and how it is read to train on."""

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import load_tool
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import load_records
from vps_d2.data.mappers import build_mapper
from vps_d2.data.vos.datasets import register_davis, register_vos_procedural
from vps_d2.data.vos.fusion import differing_pixels, register_fusion
from vps_d2.data.vos.maps import write_object_map
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import register_vos_engine
from vps_d2.io.errors import UserError

SIZE = (48, 64)
FRAMES = 10


class CopyingEngine(VOSEngine):
    """Finds objects where they were in the last frame that was given, which is wrong soon."""

    source = "copy"
    short_side = 48
    calls = 0

    def reset(self):
        self.given = []

    def remember(self, picture, object_map, permanent):
        self.given.append(object_map)

    def segment(self, picture, objects):
        CopyingEngine.calls += 1
        found = np.stack([self.given[-1] == number for number in objects]).astype(np.float32)
        return np.concatenate([1 - found.sum(0, keepdims=True), found])

    def forget_frames(self):
        pass

    def fingerprint(self):
        return "copy"


@register_vos_engine("copy")
def make(options):
    return CopyingEngine()


def true_map(index):
    object_map = np.zeros(SIZE, np.uint8)
    object_map[4:20, 2 + 4 * index : 18 + 4 * index] = 2
    object_map[24:44, 40:60] = 5
    return object_map


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("fusion")
    for name in ("one", "two"):
        frames, maps = (root / "data" / part / name for part in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True)
        for index in range(FRAMES):
            picture = np.full((*SIZE, 3), 20 * index, np.uint8)
            cv2.imwrite(str(frames / f"{index:05d}.png"), picture)
            write_object_map(maps / f"{index:05d}.png", true_map(index))
    lists = root / "data" / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\ntwo\n")
    register_davis("videos_of_fusion", root / "data")
    register_fusion("fusion_of_test", "videos_of_fusion", root / "out")
    register_vos_procedural("made_of_fusion")
    generate(root / "out")
    yield root
    for name in ("videos_of_fusion", "fusion_of_test", "made_of_fusion"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def generate(out, *arguments, videos="videos_of_fusion"):
    load_tool("generate_fusion").main(
        [videos, "--out", str(out), "--engine", "copy", "--pairs", "2", *arguments]
    )


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def test_results_are_those_before_and_after_a_correction(root):
    files = contents(root / "out")
    assert {name.split("/")[0] for name in files} == {"one", "two"}
    for name in files:
        _, pair, file = name.split("/")
        (first, second), (frame, number) = (
            [int(each) for each in text.split("_")] for text in (pair, file.removesuffix(".png"))
        )
        assert min(first, second) < frame < max(first, second) and abs(first - second) >= 3
        before, after, touched = np.moveaxis(cv2.imread(str(root / "out" / name))[..., ::-1], 2, 0)
        assert ((before == 255) == (true_map(first) == number)).all()
        assert ((after == 255) == (true_map(second) == number)).all()
        assert (touched == before).all()
    # The object that does not move is kept beside the one that does.
    assert {name[-7:-4] for name in files} == {"002", "005"}


def test_an_interrupted_run_goes_on_and_gives_the_same_files(root, tmp_path):
    generate(tmp_path)
    again = contents(tmp_path)
    assert again == contents(root / "out")
    for path in (tmp_path / "two").rglob("*.png"):
        path.unlink()
    (tmp_path / "two").rename(tmp_path / ".vps_d2-two-0123456789abcdef.tmp")
    before = CopyingEngine.calls
    generate(tmp_path)
    assert contents(tmp_path) == again and not list(tmp_path.glob(".vps_d2-*"))
    generate(tmp_path)
    assert 0 < CopyingEngine.calls - before < 4 * FRAMES  # only of one video
    generate(tmp_path / "other", "--seed", "1")
    assert contents(tmp_path / "other").keys() != again.keys()


def test_what_cannot_be_used_is_refused(root, tmp_path):
    with pytest.raises(UserError, match="results of another seed"):
        generate(root / "out", "--seed", "1")
    with pytest.raises(UserError, match="data set made_of_fusion has no videos with object maps"):
        generate(tmp_path, videos="made_of_fusion")
    register_fusion("nothing_of_fusion", "videos_of_fusion", tmp_path)
    try:
        with pytest.raises(UserError, match="no result of a video of videos_of_fusion in it"):
            load_records("nothing_of_fusion")
        (tmp_path / "one" / "00002_00099").mkdir(parents=True)
        (tmp_path / "one" / "00002_00099" / "00005_001.png").touch()
        with pytest.raises(UserError, match="frames that one of videos_of_fusion does not have"):
            load_records("nothing_of_fusion")
    finally:
        DatasetCatalog.remove("nothing_of_fusion")
        MetadataCatalog.remove("nothing_of_fusion")


def mapper(is_train, size=SIZE, objects=2):
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER = "FusionMapper"
    cfg.INPUT.VOS.SIZE, cfg.INPUT.VOS.MAX_OBJECTS = size, objects
    return build_mapper(cfg, is_train)


def test_a_sample_holds_what_a_session_has(root):
    record = load_records("fusion_of_test")[0]
    frame, second = (int(name[-9:-4]) for name in record["file_names"])
    sample = mapper(False)(record)
    assert sample["images"].shape == (2, 3, *SIZE)
    assert sample["images"][0, 0, 0, 0] == 20 * frame
    assert sample["images"][1, 0, 0, 0] == 20 * second
    # The one that moves comes first, and gets number 1.
    assert torch.equal(sample["object_map"] == 1, torch.from_numpy(true_map(frame) == 2))
    assert torch.equal(sample["object_map"] == 2, torch.from_numpy(true_map(frame) == 5))
    assert torch.equal(sample["touched"][0] > 0, torch.from_numpy(true_map(second) == 2))
    assert torch.equal(sample["masks"][0, 1] > 0, torch.from_numpy(true_map(second) == 2))
    assert torch.equal(sample["masks"][0, 0], sample["masks"][0, 2])
    assert not torch.equal(sample["masks"][0, 0], sample["masks"][0, 1])
    assert sample["distances"].sum() == pytest.approx(1)
    first = int(record["fusion_file_names"][0].split("/")[-2].split("_")[0])
    assert sample["distances"][0] == pytest.approx(abs(first - frame) / abs(first - second))
    assert mapper(False, objects=1)(record)["masks"].shape == (1, 3, *SIZE)


def test_crops_flip_all_alike_and_show_what_differs(root):
    record = load_records("fusion_of_test")[0]
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
