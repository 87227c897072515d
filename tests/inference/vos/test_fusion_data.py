"""``vps-d2 generate-fusion``: what it writes, resuming, and what it refuses."""

import cv2
import numpy as np
import pytest

from tests.data.vos.made import FRAMES, true_map, write_videos
from tests.helpers import ROOT, load_tool
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.vos.datasets import register_davis, register_vos_procedural
from vps_d2.data.vos.fusion import register_fusion
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.inference.vos.stcn import make_small_engine
from vps_d2.io.errors import UserError


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


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("fusion")
    write_videos(root / "data", ["one", "two"])
    names = ["videos_of_fusion", "made_of_fusion"]
    register_davis(names[0], root / "data")
    register_vos_procedural(names[1])
    for each in ("one", "two"):
        (root / "data" / "ImageSets" / f"{each}.txt").write_text(f"{each}\n")
        names += [f"video_{each}", f"fusion_{each}"]
        register_davis(names[-2], root / "data", f"{each}.txt")
        register_fusion(names[-1], names[-2], root / "out")
    generate(root / "out")
    yield root
    for name in names:
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


def test_a_fusion_network_trains_on_them(root, tmp_path):
    config = ROOT / "configs" / "instant_test" / "small_fusion_instant_test.yaml"
    load_tool("train_net").main(
        [
            *("--config-file", str(config), "DATASETS.TRAIN", "('fusion_one',)"),
            *("DATASETS.TEST", "('fusion_two',)", "TEST.EVAL_PERIOD", "4"),
            *("MODEL.DEVICE", "cpu", "OUTPUT_DIR", str(tmp_path)),
        ]
    )
    assert "fusion/J/fused" in (tmp_path / "metrics.json").read_text()
    weights = tmp_path / "model_final.pth"
    options = EngineOptions(device="cpu", opts=("MODEL.VOS.FUSER", str(weights)))
    assert make_small_engine(options).fuser is not None
