"""Evaluators: the same scores from either engine, at the edges as well."""

import importlib
import json
import logging
import math
import uuid

import numpy as np
import pytest
import torch

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.d2.evaluation import (
    COCOEvaluator,
    DatasetEvaluator,
    DatasetEvaluators,
    SemSegEvaluator,
    inference_context,
    inference_on_dataset,
    print_csv_format,
)
from vps_d2.d2.structures import Boxes, BoxMode, Instances

SIZE = (20, 30)
CLASSES = ["cube", "ball"]


class Count(DatasetEvaluator):
    def __init__(self, task="count"):
        self.task = task

    def reset(self):
        self.seen = []

    def process(self, inputs, outputs):
        self.seen += [a + b for a, b in zip(inputs, outputs, strict=True)]

    def evaluate(self):
        return {self.task: {"sum": sum(self.seen)}}


class Double(torch.nn.Module):
    def forward(self, inputs):
        assert not self.training and not torch.is_grad_enabled()
        return [2 * value for value in inputs]


def test_a_model_is_run_over_a_data_set_and_left_as_it_was():
    model = Double().train()
    assert inference_on_dataset(model, [[1, 2], [3]], Count()) == {"count": {"sum": 18}}
    assert model.training and torch.is_grad_enabled()


def test_several_evaluators_and_none():
    results = inference_on_dataset(Double(), [[1]], [Count("a"), Count("b")])
    assert list(results) == ["a", "b"]
    assert inference_on_dataset(Double(), [[1]], None) == {}
    with pytest.raises(AssertionError):
        inference_on_dataset(Double(), [[1]], DatasetEvaluators([Count(), Count()]))


def test_inference_context_restores_a_model_that_was_in_inference_mode():
    model = Double().eval()
    with inference_context(model):
        assert not model.training
    assert not model.training


def test_scores_can_be_copied_from_the_log(caplog):
    with caplog.at_level(logging.INFO):
        print_csv_format({"jaccard": {"macro": 0.5, "class-cube": 0.25}})
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "macro" in text and "0.5000" in text and "class-cube" not in text


def square(top, left, side=8):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def record(image_id, objects):
    annotations = [
        {
            "bbox": [left, top, left + 8, top + 8],
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": number,
            "segmentation": encode(square(top, left)),
            "iscrowd": 0,
        }
        for number, top, left in objects
    ]
    height, width = SIZE
    return {
        "file_name": f"{image_id}.png",
        "sem_seg_file_name": str(image_id),
        "image_id": image_id,
        "height": height,
        "width": width,
        "annotations": annotations,
    }


def encode(mask):
    from pycocotools import mask as mask_utils

    encoded = mask_utils.encode(np.asfortranarray(mask, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


RECORDS = [record(0, [(0, 2, 3), (1, 10, 15)]), record(1, [(1, 5, 5)]), record(2, [])]


def detections(objects):
    """Instances from (class, score, top, left)."""
    instances = Instances(SIZE)
    boxes = [[left, top, left + 8, top + 8] for _, _, top, left in objects]
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.pred_classes = torch.tensor([number for number, *_ in objects], dtype=torch.int64)
    instances.scores = torch.tensor([score for _, score, *_ in objects], dtype=torch.float32)
    masks = [square(top, left) for _, _, top, left in objects]
    instances.pred_masks = torch.from_numpy(np.array(masks, bool).reshape(-1, *SIZE))
    return instances


GUESSES = [[(0, 0.9, 2, 3), (1, 0.8, 11, 16)], [(1, 0.7, 5, 5), (0, 0.6, 0, 0)], [(0, 0.3, 1, 1)]]


@pytest.fixture
def dataset():
    name = f"test_evaluation_{uuid.uuid4().hex}"
    DatasetCatalog.register(name, lambda: RECORDS)
    MetadataCatalog.get(name).set(
        thing_classes=CLASSES, stuff_classes=["floor", *CLASSES], ignore_label=255
    )
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def coco_scores(dataset, folder, guesses, evaluator=COCOEvaluator):
    evaluator = evaluator(dataset, output_dir=str(folder), use_fast_impl=False)
    evaluator.reset()
    for entry, guess in zip(RECORDS, guesses, strict=True):
        evaluator.process([entry], [{"instances": detections(guess)}])
    return evaluator.evaluate()


def test_right_detections_score_100(dataset, tmp_path):
    right = [[(0, 0.9, 2, 3), (1, 0.8, 10, 15)], [(1, 0.7, 5, 5)], []]
    scores = coco_scores(dataset, tmp_path, right)
    assert scores["bbox"]["AP"] == pytest.approx(100)
    assert scores["segm"]["AP-ball"] == pytest.approx(100)
    assert math.isnan(scores["segm"]["APl"])  # there is no large object
    assert len(json.loads((tmp_path / "coco_instances_results.json").read_text())) == 3


def test_a_shifted_and_a_false_detection_cost(dataset, tmp_path):
    scores = coco_scores(dataset, tmp_path, GUESSES)
    assert 0 < scores["segm"]["AP"] < 100
    assert scores["segm"]["AP50"] > scores["segm"]["AP75"]


def test_no_detection_at_all(dataset, tmp_path):
    scores = coco_scores(dataset, tmp_path, [[], [], []])
    assert all(math.isnan(value) for value in scores.get("bbox", {}).values())


def test_nothing_was_processed(dataset, tmp_path):
    evaluator = COCOEvaluator(dataset, output_dir=str(tmp_path), use_fast_impl=False)
    evaluator.reset()
    assert not evaluator.evaluate()


def test_the_engines_agree_on_average_precision(dataset, tmp_path, twins):
    ours = twins("evaluation")[1].COCOEvaluator
    embedded = importlib.import_module("vps_d2.d2.embedded.data.catalog")
    if dataset not in embedded.DatasetCatalog.list():
        embedded.DatasetCatalog.register(dataset, lambda: RECORDS)
        embedded.MetadataCatalog.get(dataset).set(thing_classes=CLASSES)
    theirs = twins("evaluation")[0].COCOEvaluator
    data = importlib.import_module("detectron2.data")
    if dataset not in data.DatasetCatalog.list():
        data.DatasetCatalog.register(dataset, lambda: RECORDS)
        data.MetadataCatalog.get(dataset).set(thing_classes=CLASSES)
    first = coco_scores(dataset, tmp_path / "a", GUESSES, theirs)
    second = coco_scores(dataset, tmp_path / "b", GUESSES, ours)
    for task in ("bbox", "segm"):
        assert first[task].keys() == second[task].keys()
        for name, value in first[task].items():
            assert value == pytest.approx(second[task][name], nan_ok=True), (task, name)


def truth_of(path, dtype=int):
    truth = np.zeros(SIZE, dtype)
    for entry in RECORDS[int(path)]["annotations"]:
        left, top = entry["bbox"][:2]
        truth[square(top, left)] = 1 + entry["category_id"]
    truth[0, 0] = 255
    return truth


def sem_seg_scores(dataset, evaluator=SemSegEvaluator, output_dir=None):
    evaluator = evaluator(
        dataset, sem_seg_loading_fn=truth_of, output_dir=None if output_dir is None else output_dir
    )
    evaluator.reset()
    for index, entry in enumerate(RECORDS):
        guess = np.minimum(truth_of(str(index)), 2)
        guess[:, 4] = 0  # a column is missed
        logits = torch.nn.functional.one_hot(torch.from_numpy(guess), 3).permute(2, 0, 1).float()
        evaluator.process([entry], [{"sem_seg": logits}])
    return evaluator.evaluate()["sem_seg"]


def test_semantic_scores(dataset, tmp_path):
    scores = sem_seg_scores(dataset, output_dir=str(tmp_path))
    # The cube loses one column of eight; the ignored corner costs nothing.
    assert scores["IoU-cube"] == pytest.approx(100 * 7 / 8)
    assert scores["IoU-ball"] == pytest.approx(100)
    assert scores["ACC-floor"] == pytest.approx(100)
    assert scores["mACC"] == pytest.approx(100 * (1 + 7 / 8 + 1) / 3)
    assert json.loads((tmp_path / "sem_seg_predictions.json").read_text())


def test_the_engines_agree_on_semantic_scores(dataset, twins):
    results = []
    for module, data in zip(
        twins("evaluation"), ("detectron2.data", "vps_d2.d2.embedded.data"), strict=True
    ):
        catalogs = importlib.import_module(data)
        if dataset not in catalogs.DatasetCatalog.list():
            catalogs.DatasetCatalog.register(dataset, lambda: RECORDS)
            catalogs.MetadataCatalog.get(dataset).set(
                stuff_classes=["floor", *CLASSES], ignore_label=255
            )
        results.append(sem_seg_scores(dataset, module.SemSegEvaluator))
    theirs, ours = results
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], nan_ok=True), name
