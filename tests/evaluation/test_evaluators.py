import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from tests.conftest import write_tiny_videos
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import MetadataCatalog
from vps_d2.d2.structures import Boxes, Instances
from vps_d2.data.annotations import load_mask_frame, split_mask
from vps_d2.data.datasets import load_records, register_frames
from vps_d2.data.video import frame_path
from vps_d2.engine.evaluators import build_evaluator
from vps_d2.evaluation.evaluators import FramePredictionEvaluator, SemanticJaccardEvaluator
from vps_d2.io.errors import UserError


@pytest.fixture(scope="module")
def frames(tiny_videos: Path) -> str:
    name = "tiny_frames_of_test_evaluators"
    register_frames(name, tiny_videos / "val")
    return name


def true_instances(mask: np.ndarray) -> Instances:
    classes, bits, boxes = split_mask(mask)
    instances = Instances(mask.shape)
    instances.pred_masks = torch.from_numpy(bits)
    instances.pred_classes = torch.from_numpy(classes - 1)
    instances.pred_boxes = Boxes(torch.from_numpy(boxes))
    instances.scores = torch.ones(len(classes))
    return instances


def test_frames_are_compared_where_targets_are() -> None:
    evaluator = FramePredictionEvaluator(get_vps_cfg(), "any")
    truth = torch.full((2, 3, 16, 16), 100, dtype=torch.uint8)
    inputs = [
        {"target_frames": truth, "target_valid": torch.tensor([True, False])},
        {},  # a hidden video
    ]
    predicted = torch.stack([truth[0] + 2.0, truth[1] * 0.0])
    evaluator.process(inputs, [{"frames": predicted}, {"frames": predicted}])
    assert evaluator.evaluate()["frames"]["mse"] == pytest.approx(4)
    evaluator.reset()
    evaluator.process(inputs[:1], [{"frames": truth.float()}])
    assert evaluator.evaluate()["frames"]["mse"] == 0


@pytest.mark.parametrize("kind", ["instances", "sem_seg"])
def test_jaccard_of_the_truth_is_one(frames: str, kind: str) -> None:
    evaluator = SemanticJaccardEvaluator(get_vps_cfg(), frames)
    for record in load_records(frames)[::10]:
        mask = load_mask_frame(record["sem_seg_file_name"])
        logits = torch.nn.functional.one_hot(torch.from_numpy(mask).long(), 49).permute(2, 0, 1)
        output = {"instances": true_instances(mask)} if kind == "instances" else {"sem_seg": logits}
        evaluator.process([record], [output])
    scores = evaluator.evaluate()["jaccard"]
    assert scores["macro"] == 1
    assert scores["class-background"] == 1
    assert len(scores) == 2 + 3  # macro and background, and objects of one video and of two


def test_coco_of_the_truth_is_full(frames: str, tmp_path: Path) -> None:
    cfg = get_vps_cfg()
    cfg.OUTPUT_DIR = str(tmp_path)
    cfg.TEST.EVALUATORS = ("COCO", "SemanticJaccardEvaluator")
    evaluator = build_evaluator(cfg, frames)
    evaluator.reset()
    for record in load_records(frames):
        mask = load_mask_frame(record["sem_seg_file_name"])
        evaluator.process([record], [{"instances": true_instances(mask)}])
    results = evaluator.evaluate()
    assert results["bbox"]["AP"] == pytest.approx(100)
    assert results["segm"]["AP"] == pytest.approx(100)
    assert results["jaccard"]["macro"] == 1
    written = json.loads((tmp_path / "inference" / f"{frames}_coco.json").read_text())
    assert len(written["images"]) == 44


def test_coco_of_the_faultless_part_and_then_of_all(tmp_path: Path) -> None:
    folder = write_tiny_videos(tmp_path / "vps") / "val" / "video_00003"
    name = "faulty_frames_of_test_evaluators"
    register_frames(name, folder.parent)
    cfg = get_vps_cfg()
    cfg.OUTPUT_DIR = str(tmp_path)
    cfg.TEST.EVALUATORS = ("COCO",)
    frame, aside = frame_path(folder, 3), tmp_path / "aside.png"

    def count_images(skip_faulty: bool) -> int:
        cfg.DATASETS.SKIP_FAULTY = skip_faulty
        build_evaluator(cfg, name)
        written = json.loads((tmp_path / "inference" / f"{name}_coco.json").read_text())
        return len(written["images"])

    frame.rename(aside)
    assert count_images(skip_faulty=True) == 22
    with pytest.raises(UserError, match=r"missing frame.*SKIP_FAULTY"):
        count_images(skip_faulty=False)  # the file of the part is there
    aside.rename(frame)
    assert count_images(skip_faulty=False) == 44


def test_unknown_evaluator_is_named() -> None:
    cfg = get_vps_cfg()
    cfg.TEST.EVALUATORS = ("Jaccard",)
    with pytest.raises(
        UserError, match=r'"Jaccard", which is not an evaluator; use some of COCO, .*Frame'
    ):
        build_evaluator(cfg, "any")


def test_jaccard_of_pictures_leaves_out_what_is_of_no_class(tmp_path: Path) -> None:
    truth = np.array([[0, 1, 1, 255], [0, 0, 2, 255]], np.uint8)
    Image.fromarray(truth).save(tmp_path / "mask.png")
    name = "pictures_of_test_evaluators"
    MetadataCatalog.get(name).set(thing_classes=["cat", "dog"])
    evaluator = SemanticJaccardEvaluator(get_vps_cfg(), name)
    record = {"sem_seg_file_name": str(tmp_path / "mask.png")}
    guess = np.array([[0, 1, 1, 2], [0, 0, 2, 1]])
    logits = torch.nn.functional.one_hot(torch.from_numpy(guess), 3).permute(2, 0, 1)
    evaluator.process([record], [{"sem_seg": logits}])
    scores = evaluator.evaluate()["jaccard"]
    assert scores == {"macro": 1, "class-background": 1, "class-cat": 1, "class-dog": 1}
    with pytest.raises(UserError, match=r"wrong shape \(2, 4\), prediction \(2, 3\)"):
        evaluator.process([record], [{"sem_seg": logits[..., :3]}])
