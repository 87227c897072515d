"""The page on a user's own data, as it stands: five classes, frames of 320x480, videos of 40."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vps_d2.cli import check_dataset, compute_mean_std, train
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.video import write_video
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.models import load_model

PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
NUM_FRAMES, HEIGHT, WIDTH = 40, 320, 480
NAMES = ["fish", "crab", "turtle", "shrimp", "snail"]
PIPELINE = "aquarium/pipelines/unet_mask_simvp.yaml"
# Last on the command line, so they override what the page gives: the same, sooner there.
SHORT = """SOLVER.MAX_ITER 2 SOLVER.IMS_PER_BATCH 1 SOLVER.WARMUP_ITERS 0 TEST.EVAL_PERIOD 2
TEST.PICTURE_PERIOD 2 TEST.NUM_PICTURES 1 DATALOADER.NUM_WORKERS 0 MODEL.DEVICE cpu
SOLVER.AMP.ENABLED False"""
SMALL = {
    "unet": "MODEL.UNET.CHANNELS (8,8) MODEL.UNET.PATCH_SIZE 8",
    "mask_rcnn": "MODEL.RESNETS.WIDTH_PER_GROUP 4 MODEL.RESNETS.RES2_OUT_CHANNELS 16 "
    "MODEL.FPN.OUT_CHANNELS 16 MODEL.RPN.POST_NMS_TOPK_TEST 10 MODEL.ROI_BOX_HEAD.FC_DIM 16 "
    "MODEL.ROI_MASK_HEAD.CONV_DIM 16 MODEL.ROI_MASK_HEAD.NUM_CONV 1 "
    'TEST.EVALUATORS ("SemanticJaccardEvaluator","COCO")',
    "mask_simvp": "MODEL.MASK_SIMVP.HIDDEN_SPATIAL 4 MODEL.MASK_SIMVP.HIDDEN_TEMPORAL 8 "
    "MODEL.MASK_SIMVP.NUM_TEMPORAL_LAYERS 2 MODEL.MASK_SIMVP.PATCH_SIZE 8",
}
FIRST = {"label": ["--threshold", "0"]}  # after so little training it is unsure
# Commands in a process that knows nothing of the data set.
FRESH = """
import importlib, json, sys
for name, *words in json.loads(sys.argv[1]):
    importlib.import_module(f"vps_d2.cli.{name.replace('-', '_')}").main(words)
"""
# A mapper, an architecture and an evaluator of a user's own. The architecture is right from the
# start: a class has half its color in the frames.
PARTS = """
import numpy as np
import torch
from torch import nn

from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.data import DATASET_MAPPER_REGISTRY
from vps_d2.data.metadata import config_taxonomy
from vps_d2.data.video import read_frame
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY


@DATASET_MAPPER_REGISTRY.register()
class AquariumMapper:
    def __init__(self, cfg, is_train=True):
        self.is_train = is_train

    def __call__(self, record):
        frame = read_frame(record["file_name"])
        output = {**record, "image": torch.from_numpy(frame.transpose(2, 0, 1).copy())}
        if self.is_train:
            masks = np.load(record["mask_file_name"], mmap_mode="r")
            output["sem_seg"] = torch.from_numpy(masks[record["mask_index"]].astype(np.int64))
        return output


@META_ARCH_REGISTRY.register()
class NearestColor(nn.Module):
    task = "segmentation"

    def __init__(self, cfg):
        super().__init__()
        colors = torch.tensor([(200, 200, 200), *config_taxonomy(cfg).colors]) // 2
        self.register_buffer("colors", colors.float(), persistent=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, batch):
        images = torch.stack([frame["image"] for frame in batch]).float()
        distances = (images[:, None] - self.colors[:, :, None, None]).square().sum(2)
        logits = -self.scale * distances
        if not self.training:
            return [{"sem_seg": each} for each in logits]
        labels = torch.stack([frame["sem_seg"] for frame in batch])
        return {"loss": nn.functional.cross_entropy(logits, labels)}


@EVALUATOR_REGISTRY.register()
class ClassCountEvaluator(DatasetEvaluator):
    def __init__(self, cfg, dataset_name):
        self.reset()

    def reset(self):
        self.found = set()

    def process(self, inputs, outputs):
        for output in outputs:
            self.found |= set(output["sem_seg"].argmax(0).unique().tolist())

    def evaluate(self):
        return {"classes": {"found": float(len(self.found))}}
"""
OWN_CONFIG = f"""
_BASE_: {ROOT}/configs/_base_/common.yaml
DATASETS:
  TRAIN: ("aquarium_frames_train",)
  TEST: ("aquarium_frames_val",)
INPUT:
  MAPPER: AquariumMapper
MODEL:
  META_ARCHITECTURE: NearestColor
TEST:
  EVALUATORS: ("ClassCountEvaluator",)
  BEST_METRIC: classes/found
OUTPUT_DIR: output/own
"""
OWN_PIPELINE = """
INPUT:
  NUM_KNOWN_FRAMES: 10
PIPELINE:
  SEGMENTER:
    CONFIG_FILE: output/own/config.yaml
    WEIGHTS: output/own/model_best.pth
VERSION: 2
"""
OWN_COMMANDS = """
predict --import own_parts.py --config-file own_pipeline.yaml --input datasets/aquarium/val
    --output output/own/val
label --config-file output/own/config.yaml --import own_parts.py
    --input datasets/aquarium/unlabeled --output output/own/labeled
    MODEL.WEIGHTS output/own/model_best.pth
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands(text: str) -> list[list[str]]:
    lines = re.sub(r"\s*\\?\n +", " ", text).splitlines()
    return [shlex.split(line.removeprefix("vps-d2 ")) for line in lines if line.strip()]


def class_colors() -> np.ndarray:
    """Return the colors of the page's classes, background first, uint8 ``(6, 3)``."""
    described = json.loads(blocks("json")[0])
    assert described["thing_classes"] == NAMES
    return np.array([[0, 0, 0], *described["thing_colors"]], np.uint8)


def make_masks() -> np.ndarray:
    """Return masks of two fish, a crab and a snail."""
    masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
    for index, mask in enumerate(masks):
        for class_id, x, y in ((1, 40 + 6 * index, 80), (1, 400 - 4 * index, 180), (2, 100, 260)):
            cv2.circle(mask, (x, y), 36, class_id, -1)
        cv2.rectangle(mask, (300, 230 - index), (360, 290 - index), 5, -1)
    return masks


def make_files(work: Path) -> None:
    """Write the data set, the files of the page, and those of a user's own parts."""
    masks = make_masks()
    frames = np.where(masks[..., None] > 0, class_colors()[masks] // 2, np.uint8(100))
    for number, split in enumerate(("train", "val", "unlabeled")):
        folder = work / "datasets" / "aquarium" / split / f"video_{number}"
        write_video(folder, frames, None if split == "unlabeled" else masks)
    (work / "datasets/aquarium/dataset.json").write_text(blocks("json")[0])
    for text in (*blocks("yaml"), *blocks("python")):
        path = work / text.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (work / "own_parts.py").write_text(PARTS)
    (work / "own_config.yaml").write_text(OWN_CONFIG)
    (work / "own_pipeline.yaml").write_text(OWN_PIPELINE)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the page was followed to its end, and a user's own parts were used."""
    work = tmp_path_factory.mktemp("own_data")
    make_files(work)
    later = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setattr(sys, "path", list(sys.path))
        for name, *words in commands("".join(blocks("bash"))):
            if name == "check-dataset":
                check_dataset.main(words)
            elif name == "compute-mean-std":
                compute_mean_std.main(words)
            elif name == "train":
                config = Path(words[words.index("--config-file") + 1]).stem
                train.main([*words, *SHORT.split(), *SMALL[config].split()])
            else:
                later.append([name, *FIRST.get(name, []), *words])
        own = "--import own_parts.py --import aquarium/register_aquarium.py"
        train.main([*own.split(), "--config-file", "own_config.yaml", *SHORT.split()])
    command = [sys.executable, "-c", FRESH, json.dumps([*later, *commands(OWN_COMMANDS)])]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield work
    for name in DatasetCatalog.list():
        if name.startswith("aquarium"):
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


def read_json(path: Path) -> dict:
    content: dict = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_the_data_set_registers_in_ten_lines() -> None:
    (register,) = blocks("python")
    lines = [line.split("#")[0].strip() for line in register.splitlines()]
    assert sum(map(bool, lines)) <= 10


@pytest.mark.parametrize(
    ("name", "task", "sample"),
    [
        ("unet", "segmentation", {"image": torch.zeros(3, 64, 96)}),
        ("mask_simvp", "future_masks", {"masks": torch.ones(10, 64, 96, dtype=torch.uint8)}),
    ],
)
def test_a_model_gives_the_classes_and_the_background(name, task, sample, work: Path) -> None:
    folder = work / "output" / "aquarium" / name
    model = load_model(folder / "config.yaml", task=task, weights=str(folder / "model_final.pth"))
    assert model([sample])[0]["sem_seg"].shape == (6, 64, 96)
    assert list(model.cfg.TAXONOMY.CLASSES) == NAMES


def test_mask_rcnn_learns_and_scores_each_part_of_a_class(work: Path) -> None:
    folder = work / "output" / "aquarium" / "mask_rcnn"
    model = load_model(
        folder / "config.yaml", task="segmentation", weights=str(folder / "model_final.pth")
    )
    assert model.model.roi_heads.box_predictor.cls_score.out_features == 6
    coco = read_json(folder / "inference" / "aquarium_frames_val_coco.json")
    assert [each["name"] for each in coco["categories"]] == NAMES
    first = coco["images"][0]["id"]
    found = [each["category_id"] for each in coco["annotations"] if each["image_id"] == first]
    assert found == [0, 0, 1, 4]
    scores = read_json_lines(folder / "metrics.json")[-1]
    assert {f"segm/AP-{name}" for name in NAMES} < set(scores)
    assert "jaccard/class-snail" in scores and "jaccard/class-turtle" not in scores


def read_json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_say_what_they_are(work: Path) -> None:
    folder = work / "output" / "aquarium" / "val"
    assert read_json(folder / "predictions.json") == {
        "classes": NAMES,
        "num_known": 10,
        "frames": [],
        "mask_frame": 20,
        "copied": False,
    }
    masks = np.load(folder / "hidden_masks.npy")
    assert masks.shape == (1, HEIGHT, WIDTH) and masks.max() <= 5
    scores = read_json(work / "output" / "aquarium" / "scores.json")
    assert list(scores["per_class"]) == ["background", *NAMES]
    truth = make_masks()
    both = (truth[9] == 2) & (truth[19] == 2), (truth[9] == 2) | (truth[19] == 2)
    assert scores["copy"]["per_class"]["crab"] == both[0].sum() / both[1].sum() == 1
    assert scores["copy"]["per_class"]["fish"] < 0.5  # frame 10 against frame 20


def test_pictures_have_the_colors_of_the_classes(work: Path) -> None:
    path = work / "output" / "aquarium" / "pictures" / "contact_sheet.png"
    sheet = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    masks = make_masks()
    for class_id in (1, 2, 5):
        drawn = (sheet == class_colors()[class_id]).all(-1).sum()
        true = (masks[[9, 19]] == class_id).sum()  # the masks of these frames are in the sheet
        assert drawn >= true, NAMES[class_id - 1]


def test_tables_have_the_names_of_the_classes(work: Path) -> None:
    folder = work / "output" / "aquarium" / "leaderboard"
    assert "Jaccard of frame 20" in (folder / "leaderboard.md").read_text()
    page = (folder / "leaderboard.html").read_text()
    assert all(f'"{name}"' in page for name in NAMES)  # the rows of a table, as JSON
    scores = read_json(folder / "leaderboard.json")
    assert set(scores) == {"unet_mask_simvp", "copy_mask_rcnn"}
    assert list(scores["copy_mask_rcnn"]["per_class"]) == ["background", *NAMES]


def test_a_pipeline_from_python_needs_no_registration(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vps_d2.data.metadata.DatasetCatalog.list", lambda: [])
    pipeline = FutureMaskPredictor.from_config_file(work / PIPELINE)
    assert list(pipeline.taxonomy.thing_classes) == NAMES
    assert np.array_equal(pipeline.taxonomy.palette[:6], class_colors())
    (prediction,) = pipeline(np.zeros((1, 12, HEIGHT, WIDTH, 3), np.uint8)[:, :10])
    assert prediction.mask.shape == (HEIGHT, WIDTH) and prediction.mask_number == 20


def test_labels_are_a_data_set_of_the_same_classes(work: Path) -> None:
    folder = work / "datasets" / "aquarium" / "labeled"
    assert read_json(folder / "dataset.json")["thing_classes"] == NAMES
    assert read_json(folder / "dataset.json")["num_frames"] == NUM_FRAMES
    check_dataset.main([str(folder)])


def test_own_mapper_architecture_and_evaluator_work_with_every_command(work: Path) -> None:
    folder = work / "output" / "own"
    assert read_json_lines(folder / "metrics.json")[-1]["classes/found"] == 4
    truth = make_masks()
    assert np.array_equal(np.load(folder / "val" / "hidden_masks.npy"), truth[9:10])
    assert read_json(folder / "val" / "predictions.json")["copied"]
    assert np.array_equal(np.load(folder / "labeled" / "video_2" / "mask.npy"), truth)
