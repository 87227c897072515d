"""Evaluators: the same scores from either engine, at the edges as well."""

import importlib
import json
import logging
import math
import uuid

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from tests.d2.engine import engine_module
from vps_d2.d2 import ENGINE
from vps_d2.d2.data import MetadataCatalog
from vps_d2.d2.embedded.evaluation import evaluator as embedded
from vps_d2.d2.evaluation import (
    COCOEvaluator,
    DatasetEvaluator,
    DatasetEvaluators,
    inference_context,
)
from vps_d2.d2.structures import Boxes, BoxMode, Instances
from vps_d2.io.errors import UserError

inference_on_dataset = engine_module("evaluation").inference_on_dataset
print_csv_format = engine_module("evaluation").print_csv_format
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


def test_several_evaluators():
    results = inference_on_dataset(Double(), [[1]], DatasetEvaluators([Count("a"), Count("b")]))
    assert list(results) == ["a", "b"]
    with pytest.raises(AssertionError):
        inference_on_dataset(Double(), [[1]], DatasetEvaluators([Count(), Count()]))


def test_progress_is_logged_with_the_time_that_is_left(monkeypatch, caplog):
    monkeypatch.setattr(embedded, "_SECONDS_BETWEEN_LOGS", -1)
    with caplog.at_level(logging.INFO):
        embedded.inference_on_dataset(Double(), [[1]] * 8, Count())
    lines = [r.getMessage() for r in caplog.records if "ETA=" in r.getMessage()]
    assert [line.split(".")[0] for line in lines] == [f"Inference done {n}/8" for n in range(1, 9)]
    assert lines[-1].endswith("ETA=0:00:00")


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
        "image_id": image_id,
        "height": height,
        "width": width,
        "annotations": annotations,
    }


def encode(mask):
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


def write_coco(path, records, classes=CLASSES, ids=None):
    """Write records as a COCO file; one without any object has no annotations, as a test set's."""
    numbers = {index: number for number, index in (ids or {}).items()}
    images, annotations = [], []
    for entry in records:
        size = {key: entry[key] for key in ("height", "width")}
        images.append({"id": entry["image_id"], "file_name": entry["file_name"], **size})
        for found in entry["annotations"]:
            left, top, right, bottom = found["bbox"]
            outline = found["segmentation"]
            if isinstance(outline, list):
                encoded = mask_utils.merge(mask_utils.frPyObjects(outline, *size.values()))
            else:
                encoded = outline
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": entry["image_id"],
                    "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
                    "area": float(mask_utils.area(encoded)),
                    "iscrowd": 0,
                    "category_id": numbers.get(found["category_id"], found["category_id"]),
                    "segmentation": outline,
                }
            )
    categories = [{"id": numbers.get(i, i), "name": name} for i, name in enumerate(classes)]
    content = {"info": {}, "images": images, "categories": categories}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, "annotations": annotations} if annotations else content))
    return str(path)


@pytest.fixture
def dataset(tmp_path):
    name = f"test_evaluation_{uuid.uuid4().hex}"
    path = write_coco(tmp_path / "truth.json", RECORDS)
    MetadataCatalog.get(name).set(thing_classes=CLASSES, json_file=path)
    yield name
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


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 writes the file")
def test_a_data_set_without_a_coco_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no_file do not name a COCO file"):
        COCOEvaluator("no_file", output_dir=str(tmp_path))
    MetadataCatalog.remove("no_file")


def test_an_unknown_task_is_refused(dataset, tmp_path):
    with pytest.raises(AssertionError, match="box"):
        evaluator = COCOEvaluator(
            dataset, tasks=("box",), output_dir=str(tmp_path), use_fast_impl=False
        )
        evaluator.reset()
        evaluator.process([RECORDS[0]], [{"instances": detections(GUESSES[0])}])
        evaluator.evaluate()


def test_a_data_set_without_an_object_has_no_average_precision(tmp_path):
    assert score_in("vps_d2.d2", tmp_path, [[]], [[(0, 0.9, 2, 3, 8)]]) == {}


LARGE = (160, 240)
SIDES = (8, 40, 110)  # small, medium and large for COCO


def squares(places):
    """Masks (N, H, W) and boxes (N, 4) from (top, left, side)."""
    masks = np.zeros((len(places), *LARGE), bool)
    for mask, (top, left, side) in zip(masks, places, strict=True):
        mask[top : top + side, left : left + side] = True
    boxes = [[left, top, left + side, top + side] for top, left, side in places]
    return masks, np.array(boxes, float).reshape(-1, 4)


def annotations_of(objects, box_mode, polygons):
    masks, boxes = squares([place for _, *place in objects])
    outlines = [encode(mask) for mask in masks]
    if polygons:  # a triangle, so that its area is not the box's
        outlines = [[box[[0, 1, 2, 1, 2, 3]].tolist()] for box in boxes]
    return [
        {"bbox": box, "bbox_mode": box_mode, "category_id": number, "segmentation": outline}
        for (number, *_), box, outline in zip(objects, boxes, outlines, strict=True)
    ]


def score_in(engine, folder, truth, found, polygons=False, classes=CLASSES, ids=None, **options):
    """Scores of one engine's own evaluator.

    ``truth`` and ``found`` are for each image (class, top, left, side) and (class, score, top,
    left, side).
    """
    data, evaluation, structures = (
        importlib.import_module(f"{engine}.{name}") for name in ("data", "evaluation", "structures")
    )
    size = {"height": LARGE[0], "width": LARGE[1]}
    mode = structures.BoxMode.XYXY_ABS
    records = [
        {
            "file_name": str(index),
            "image_id": index,
            "annotations": annotations_of(objects, mode, polygons),
            **size,
        }
        for index, objects in enumerate(truth)
    ]
    name = f"test_evaluation_{uuid.uuid4().hex}"
    path = write_coco(folder / "truth.json", records, classes, ids)
    data.MetadataCatalog.get(name).set(thing_classes=classes, json_file=path)
    if ids is not None:
        data.MetadataCatalog.get(name).set(thing_dataset_id_to_contiguous_id=ids)
    try:
        evaluator = evaluation.COCOEvaluator(
            name, output_dir=str(folder), use_fast_impl=False, **options
        )
        evaluator.reset()
        for record, objects in zip(records, found, strict=True):
            masks, boxes = squares([place for _, _, *place in objects])
            instances = structures.Instances(LARGE)
            instances.pred_boxes = structures.Boxes(torch.from_numpy(boxes).float())
            instances.pred_classes = torch.tensor([n for n, *_ in objects], dtype=torch.int64)
            instances.scores = torch.tensor([score for _, score, *_ in objects])
            instances.pred_masks = torch.from_numpy(masks)
            evaluator.process([record], [{"instances": instances}])
        return evaluator.evaluate()
    finally:
        data.MetadataCatalog.remove(name)


def at_random(seed):
    """Objects of all sizes in 8 images, and imperfect detections of them."""
    random = np.random.default_rng(seed)
    truth, guesses = [], []
    for _ in range(8):
        objects = [
            (
                int(random.integers(2)),
                *random.integers(0, 40, 2).tolist(),
                int(random.choice(SIDES)),
            )
            for _ in range(random.integers(6))
        ]
        truth.append(objects)
        guesses.append(
            [
                (number, float(random.random()), top + int(random.integers(4)), left, side)
                for number, top, left, side in objects
                if random.random() < 0.8
            ]
        )
        guesses[-1] += [(0, float(random.random()), 0, 100, 30)] * int(random.integers(2))
    return truth, guesses


TRUTH, FOUND = at_random(0)
CASES = {
    "random": (TRUTH, FOUND, {}),
    "random again": (*at_random(1), {}),
    "polygons": (TRUTH, FOUND, {"polygons": True}),
    "ids of the data set": (TRUTH, FOUND, {"ids": {3: 0, 7: 1}}),
    "boxes alone": (TRUTH, FOUND, {"tasks": ("bbox",)}),
    "one object of one class": ([[(0, 2, 3, 8)]], [[(0, 0.9, 3, 3, 8)]], {"classes": ["cube"]}),
    "no detection": (TRUTH, [[]] * 8, {}),
    "no object": ([[], []], [[(0, 0.9, 2, 3, 8)], []], {}),
    "empty data set": ([], [], {}),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_engines_agree_on_average_precision(case, tmp_path, twins):
    twins("evaluation")
    truth, guesses, options = CASES[case]
    theirs, ours = (
        score_in(engine, tmp_path / engine, truth, guesses, **options)
        for engine in ("detectron2", "vps_d2.d2.embedded")
    )
    assert {task: list(scores) for task, scores in theirs.items()} == {
        task: list(scores) for task, scores in ours.items()
    }
    for task, scores in theirs.items():
        assert ours[task] == pytest.approx(scores, nan_ok=True), task
    if case == "random":
        assert all(0 < scores[name] < 100 for name in ("APs", "APm", "APl"))
