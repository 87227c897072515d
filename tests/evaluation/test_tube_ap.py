"""Average precision of tubes, its evaluator, and files of results."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import make_video
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.structures import Instances
from vps_d2.d2.utils import comm
from vps_d2.data.clip_mapper import ClipInstanceMapper
from vps_d2.data.datasets import load_records, register_video_instances
from vps_d2.data.tubes import encode_mask, masks_to_tubes
from vps_d2.data.ytvis import register_ytvis_instances
from vps_d2.engine.evaluators import build_evaluator
from vps_d2.evaluation.tube_ap import TubeAP, tube_iou
from vps_d2.evaluation.ytvis import YTVISEvaluator, evaluate_tubes, join_tubes
from vps_d2.io.errors import UserError
from vps_d2.modeling.outputs import VideoInstancesOutput

# Tubes of rectangles (top, left, height, width; null where not visible), and what the public
# evaluation of YouTube-VIS makes of them; -1 stands for a score that does not exist.
CASES = json.loads((Path(__file__).parent / "tube_ap_cases.json").read_text(encoding="utf-8"))


def rle(rectangle: list[int] | None, size: tuple[int, int]) -> dict[str, Any] | None:
    if rectangle is None:
        return None
    mask = np.zeros(size, bool)
    top, left, height, width = rectangle
    mask[top : top + height, left : left + width] = True
    encoded = encode_mask(mask)
    return {**encoded, "counts": encoded["counts"].decode()}


def content_of(case: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a case as a file in the form of YouTube-VIS, and results."""
    height, width = case["size"]
    truth: dict[str, Any] = {"categories": [], "videos": [], "annotations": []}
    for number in range(case["classes"]):
        truth["categories"].append({"id": 10 * number + 5, "name": f"class {number}"})
    for number, length in enumerate(case["lengths"]):
        files = [f"video_{number}/{index}.jpg" for index in range(length)]
        video = {"id": number + 3, "file_names": files, "height": height, "width": width}
        truth["videos"].append(video)
    for number, category, crowd, tube in case["truth"]:
        annotation = {
            "id": len(truth["annotations"]) + 1,
            "video_id": number + 3,
            "category_id": 10 * category + 5,
            "iscrowd": crowd,
            "segmentations": [rle(rectangle, (height, width)) for rectangle in tube],
        }
        truth["annotations"].append(annotation)
    results = [
        {
            "video_id": number + 3,
            "category_id": 10 * category + 5,
            "score": score,
            "segmentations": [rle(rectangle, (height, width)) for rectangle in tube],
        }
        for number, category, score, tube in case["found"]
    ]
    return truth, results


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_scores_are_those_of_the_public_evaluation(case: dict[str, Any], tmp_path: Path) -> None:
    truth, results = content_of(case)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    scores = evaluate_tubes(tmp_path / "truth.json", tmp_path / "results.json")
    per_class = scores.pop("per_class")
    for metric, public in case["public"].items():
        if public == -1:
            assert np.isnan(scores.pop(metric))
        else:
            assert scores.pop(metric) == pytest.approx(public, abs=1e-9)
    assert not scores and list(per_class) == [f"class {n}" for n in range(case["classes"])]
    known = [score for score in per_class.values() if not np.isnan(score)]
    if known:
        assert np.mean(known) == pytest.approx(case["public"]["AP"])


def test_cases_cover_what_matters() -> None:
    assert len(CASES) > 10
    assert sum(case["public"]["APl"] > 0 for case in CASES) > 2
    assert sum(entry[2] for case in CASES for entry in case["truth"]) > 3  # crowds
    assert any(not case["found"] for case in CASES) and any(not case["truth"] for case in CASES)


def test_iou_of_tubes() -> None:
    masks = np.random.default_rng(0).random((5, 3, 9, 11)) < 0.4
    masks[0, 1], masks[3] = False, False
    tubes = [[encode_mask(mask) if mask.any() else None for mask in tube] for tube in masks]
    ious = tube_iou(tubes, tubes[1:])
    for row, one in enumerate(masks):
        for column, other in enumerate(masks[1:]):
            union = (one | other).sum()
            assert ious[row, column] == ((one & other).sum() / union if union else 0)
    assert tube_iou([], tubes).shape == (0, 5) and tube_iou(tubes, []).shape == (5, 0)


def test_the_best_hundred_tubes_count() -> None:
    truth = masks_to_tubes(np.ones((2, 8, 8), np.uint8))
    wrong = [{"category_id": 0, "score": 0.5, "segmentations": [encode_mask(np.eye(8))] * 2}]
    right = [{**wrong[0], "score": 0.4, "segmentations": truth[0]["segmentations"]}]
    for count, recalls in ((0, (1, 1, 1)), (1, (0, 1, 1)), (99, (0, 0, 1)), (100, (0, 0, 0))):
        scores = TubeAP(1)
        scores.add(truth, right + wrong * count)  # type: ignore[arg-type]
        found = scores.compute()
        assert (found["AR1"], found["AR10"], found["AR100"]) == recalls
        assert found["AP"] == pytest.approx(0 if count == 100 else 1 / (count + 1))


def instances(mask: np.ndarray, scores: dict[int, float] | None = None) -> Instances:
    """Return the objects of a class map, without ids; the class number is the key of scores."""
    numbers = np.setdiff1d(np.unique(mask), 0)
    found = Instances(mask.shape)
    found.pred_masks = torch.from_numpy(mask[None] == numbers[:, None, None])
    found.pred_classes = torch.from_numpy(numbers.astype(np.int64) - 1)
    found.scores = torch.tensor([(scores or {}).get(int(number), 0.9) for number in numbers])
    return found


class ByClass:
    """A tracker for videos in which a class is an object."""

    def __init__(self) -> None:
        self.ids: dict[int, int] = {}

    def step(self, instances: Instances) -> Instances:
        ids = [self.ids.setdefault(n, len(self.ids)) for n in instances.pred_classes.tolist()]
        instances.track_ids = torch.tensor(ids, dtype=torch.int64)
        return instances


def test_a_tube_has_the_mean_score_and_the_heaviest_class() -> None:
    frames = []
    for number, score in ((1, 0.9), (2, 0.5), (2, 0.5), (3, 0.0)):
        found = instances(np.full((4, 6), number, np.uint8), {number: score})
        found.track_ids = torch.tensor([7])
        frames.append(found)
    frames[3].pred_masks[:] = False  # not seen
    frames.append(frames[0][frames[0].scores > 1])
    (tube,) = join_tubes(frames, (4, 6))
    assert tube["category_id"] == 1 and tube["score"] == pytest.approx(1.9 / 3)
    assert [mask is None for mask in tube["segmentations"]] == [False, False, False, True, True]
    assert not join_tubes(frames[3:], (4, 6))
    with pytest.raises(UserError, match="masks of 6x4 pixels for a video of 6x5"):
        join_tubes(frames, (5, 6))


@pytest.fixture(scope="module")
def videos(tiny_videos: Path) -> str:
    name = "tube_tests_val"
    register_video_instances(name, tiny_videos / "val")
    return name


def config(folder: Path, name: str) -> Any:
    cfg = get_vps_cfg()
    cfg.OUTPUT_DIR, cfg.DATASETS.TEST = str(folder), (name,)
    cfg.TEST.EVALUATORS = ("YTVISEvaluator",)
    return cfg


def outputs_of(name: str) -> tuple[list[dict[str, Any]], list[VideoInstancesOutput]]:
    mapper = ClipInstanceMapper(is_train=False)
    inputs = [mapper(record) for record in load_records(name)]
    masks = [make_video(video["video_id"])[1] for video in inputs]
    return inputs, [{"instances": [instances(mask) for mask in video]} for video in masks]


def test_evaluator_of_the_truth_finds_everything(videos: str, tmp_path: Path) -> None:
    evaluator = YTVISEvaluator(config(tmp_path, videos), videos, ByClass)
    inputs, outputs = outputs_of(videos)
    for video, output in zip(inputs, outputs, strict=True):  # in batches, of any order
        evaluator.process([video], [output])
    found = evaluator.evaluate()
    assert found is not None
    scores = found["segm"]
    for metric in ("AP", "AP75", "APs", "AR1", "ARs"):
        assert scores[metric] == pytest.approx(100)
    assert np.isnan(scores["APl"]) and np.isnan(scores["AP-gray rubber cube"])
    assert sum(np.isfinite(score) for name, score in scores.items() if "AP-" in name) == 3
    written = json.loads((tmp_path / "inference" / "results.json").read_text())
    assert len(written) == 3 and [entry["video_id"] for entry in written] == [2, 3, 3]
    assert written[0]["score"] == pytest.approx(0.9) and len(written[0]["segmentations"]) == 22
    again = evaluate_tubes(videos, tmp_path / "inference" / "results.json")
    assert again["AP"] == pytest.approx(1)
    evaluator.reset()
    nothing = evaluator.evaluate()
    assert nothing is not None and nothing["segm"]["AP"] == 0


def test_processes_share_the_videos(
    videos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, outputs = outputs_of(videos)
    both = [YTVISEvaluator(config(tmp_path, videos), videos, ByClass) for _ in range(2)]
    for evaluator, video, output in zip(both, inputs[::-1], outputs[::-1], strict=True):
        evaluator.process([video], [output])
    parts = [evaluator._results for evaluator in both]
    monkeypatch.setattr(comm, "gather", lambda data: parts)
    found = both[0].evaluate()
    assert found is not None and found["segm"]["AP"] == pytest.approx(100)
    written = json.loads((tmp_path / "inference" / "results.json").read_text())
    assert [entry["video_id"] for entry in written] == [2, 3, 3]
    (tmp_path / "inference" / "results.json").unlink()
    monkeypatch.setattr(comm, "gather", lambda data: [])
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert both[1].evaluate() is None and not list((tmp_path / "inference").iterdir())


def test_ids_that_change_cost_precision(videos: str, tmp_path: Path) -> None:
    evaluator = build_evaluator(config(tmp_path, videos), videos)
    inputs, outputs = outputs_of(videos)
    for output in outputs:
        for index, frame in enumerate(output["instances"]):
            frame.track_ids = torch.arange(len(frame)) + (10 if index > 10 else 0)
    evaluator.process(inputs, outputs)
    scores = evaluator.evaluate()["segm"]
    assert scores["AP50"] == pytest.approx(100) and 0 < scores["AP"] < 20


def test_objects_without_ids_are_followed(videos: str, tmp_path: Path) -> None:
    evaluator = build_evaluator(config(tmp_path, videos), videos)
    evaluator.process(*outputs_of(videos))
    scores = evaluator.evaluate()["segm"]
    assert scores["AP"] == pytest.approx(100)


def test_data_sets_of_several_and_without_annotations(tmp_path: Path) -> None:
    truth, _ = content_of(CASES[0])
    del truth["annotations"]
    (tmp_path / "test.json").write_text(json.dumps(truth))
    register_ytvis_instances("tube_tests_unlabeled", tmp_path / "test.json", tmp_path)
    cfg = config(tmp_path, "tube_tests_unlabeled")
    cfg.DATASETS.TEST = ("tube_tests_unlabeled", "other")
    evaluator = YTVISEvaluator(cfg, "tube_tests_unlabeled", ByClass)
    height, width = CASES[0]["size"]
    count = CASES[0]["lengths"][0]
    frames = [instances(np.ones((height, width), np.uint8)) for _ in range(count)]
    evaluator.process([{"video_id": 3, "height": height, "width": width}], [{"instances": frames}])
    assert evaluator.evaluate() == {}
    path = tmp_path / "inference" / "tube_tests_unlabeled" / "results.json"
    assert json.loads(path.read_text())[0]["category_id"] == 5  # as in the file
    with pytest.raises(UserError, match="has no annotations to score against"):
        evaluate_tubes("tube_tests_unlabeled", path)
    DatasetCatalog.remove("tube_tests_unlabeled")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("video_id", 99, "an unknown video_id, 99"),
        ("category_id", 1, "an unknown category_id, 1"),
        ("score", None, "a score that is no number, None"),
        ("score", float("nan"), "a score that is no number, nan"),
        ("segmentations", [], "not one segmentation for each of the"),
        ("segmentations", None, "not one segmentation for each of the"),
        (None, None, "not all of video_id"),
    ],
)
def test_results_of_something_else_are_one_sentence(
    key: str | None, value: Any, reason: str, tmp_path: Path
) -> None:
    truth, results = content_of(CASES[0])
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    if key is None:
        del results[1]["video_id"]
    else:
        results[1][key] = value
    with pytest.raises(UserError, match=f"the results cannot be scored .* entry 2 has {reason}"):
        evaluate_tubes(tmp_path / "truth.json", results)


def test_masks_of_another_size_and_files_that_are_none(tmp_path: Path) -> None:
    truth, results = content_of(CASES[0])
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    masks = results[0]["segmentations"]
    masks[0] = {"size": [3, 4], "counts": [12]}
    with pytest.raises(UserError, match=r"entry 1 has an RLE of size \[3, 4\]"):
        evaluate_tubes(path, results)
    with pytest.raises(UserError, match=r"nothing.json cannot be read"):
        evaluate_tubes(path, tmp_path / "nothing.json")
    with pytest.raises(UserError, match=r"truth.json holds no list of tubes"):
        evaluate_tubes(path, path)
