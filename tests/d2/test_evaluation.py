"""Evaluators: the same scores from either engine, at the edges as well."""

import importlib
import json
import logging
import math
import uuid

import numpy as np
import pytest
import torch
from PIL import Image

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.d2.embedded.evaluation import evaluator as embedded
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


def test_progress_is_logged_with_the_time_that_is_left(monkeypatch, caplog):
    monkeypatch.setattr(embedded, "_SECONDS_BETWEEN_LOGS", -1)
    with caplog.at_level(logging.INFO):
        embedded.inference_on_dataset(Double(), [[1]] * 8, None)
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


def test_detections_beyond_the_limit_do_not_count(tmp_path):
    scores = [
        score_in("vps_d2.d2", tmp_path / str(limit), ROW, ROW_FOUND, max_dets_per_image=limit)
        for limit in (12, 100)
    ]
    assert scores[0]["bbox"]["AP50"] < 82 and scores[1]["bbox"]["AP50"] == pytest.approx(100)
    assert scores[0]["bbox"]["AP"] == pytest.approx(scores[0]["bbox"]["AP50"])


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
    data.DatasetCatalog.register(name, lambda: records)
    data.MetadataCatalog.get(name).set(thing_classes=classes)
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
        data.DatasetCatalog.remove(name)
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
ROW = [[(0, 5 * index, 0, 4) for index in range(15)]]
ROW_FOUND = [[(0, 0.9 - 0.01 * index, 5 * index, 0, 4) for index in range(15)]]
CASES = {
    "random": (TRUTH, FOUND, {}),
    "random again": (*at_random(1), {}),
    "polygons": (TRUTH, FOUND, {"polygons": True}),
    "ids of the data set": (TRUTH, FOUND, {"ids": {3: 0, 7: 1}}),
    "boxes alone": (TRUTH, FOUND, {"tasks": ("bbox",)}),
    "undistributed": (TRUTH, FOUND, {"distributed": False}),
    "one object of one class": ([[(0, 2, 3, 8)]], [[(0, 0.9, 3, 3, 8)]], {"classes": ["cube"]}),
    "no detection": (TRUTH, [[]] * 8, {}),
    "no object": ([[], []], [[(0, 0.9, 2, 3, 8)], []], {}),
    "empty data set": ([], [], {}),
    "more detections than count": (ROW, ROW_FOUND, {"max_dets_per_image": 12}),
    "a limit above the usual": (TRUTH, FOUND, {"max_dets_per_image": 200}),
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


def semantic_in(engine, folder, truth, guesses, palette=False, **options):
    """Scores of one engine's own class, which reads the truth from PNG files."""
    data, evaluation = (
        importlib.import_module(f"{engine}.{name}") for name in ("data", "evaluation")
    )
    records = []
    folder.mkdir()
    for index, mask in enumerate(truth):
        image = Image.fromarray(mask.astype(np.uint8))
        if palette:
            image.putpalette(list(range(256)) * 3)
        path = folder / f"{index}.png"
        image.save(path)
        records.append({"file_name": str(index), "sem_seg_file_name": str(path)})
    name = f"test_evaluation_{uuid.uuid4().hex}"
    data.DatasetCatalog.register(name, lambda: records)
    data.MetadataCatalog.get(name).set(stuff_classes=["floor", *CLASSES], ignore_label=255)
    try:
        evaluator = evaluation.SemSegEvaluator(name, **options)
        evaluator.reset()
        for record, guess in zip(records, guesses, strict=True):
            logits = torch.nn.functional.one_hot(torch.from_numpy(guess), 3).permute(2, 0, 1)
            evaluator.process([record], [{"sem_seg": logits.float()}])
        return evaluator.evaluate()["sem_seg"]
    finally:
        data.DatasetCatalog.remove(name)
        data.MetadataCatalog.remove(name)


def semantic_cases():
    random = np.random.default_rng(0)
    guesses = list(random.integers(0, 3, (3, 9, 7)))
    truth = list(random.integers(0, 3, (3, 9, 7)))
    ignored = [np.where(np.arange(9)[:, None] < 4, 255, mask) for mask in truth]
    floor, one = np.zeros((9, 7), int), np.zeros((9, 7), int)
    one[2:4, 2:4] = 1
    return {
        "random": (truth, guesses, {}),
        "ignore label": (ignored, guesses, {}),
        "palette": (truth, guesses, {"palette": True}),
        "undistributed": (truth, guesses, {"distributed": False}),
        "one object": ([one], [one], {}),
        "missed object": ([one], [floor], {}),
        "class that is nowhere": ([floor], guesses[:1], {}),
        "all ignored": ([np.full((9, 7), 255)], guesses[:1], {}),
        "empty data set": ([], [], {}),
    }


SEMANTIC_CASES = semantic_cases()


@pytest.mark.parametrize("case", list(SEMANTIC_CASES))
def test_the_engines_agree_on_semantic_scores(case, tmp_path, twins):
    twins("evaluation")
    truth, guesses, options = SEMANTIC_CASES[case]
    theirs, ours = (
        semantic_in(engine, tmp_path / engine, truth, guesses, **options)
        for engine in ("detectron2", "vps_d2.d2.embedded")
    )
    # Detectron2 also scores the boundaries, which nothing here asks for.
    theirs = {name: v for name, v in theirs.items() if not name.startswith(("Boundary", "min("))}
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, nan_ok=True)
