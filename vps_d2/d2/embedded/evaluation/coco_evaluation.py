"""COCO's average precision of detected boxes and masks."""

import contextlib
import copy
import io
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vps_d2.d2.embedded.data.catalog import DatasetCatalog, MetadataCatalog
from vps_d2.d2.embedded.evaluation.evaluator import DatasetEvaluator
from vps_d2.d2.embedded.structures import BoxMode, Instances
from vps_d2.d2.embedded.utils import comm

__all__ = ["COCOEvaluator"]

_TASKS = ("bbox", "segm")
# Metric: the IoU threshold (None: the mean over all) and the range of areas.
_METRICS = {
    "AP": (None, "all"),
    "AP50": (0.5, "all"),
    "AP75": (0.75, "all"),
    "APs": (None, "small"),
    "APm": (None, "medium"),
    "APl": (None, "large"),
}


class COCOEvaluator(DatasetEvaluator):
    """Average precision, in per cent, of boxes ("bbox") and masks ("segm").

    Args:
        dataset_name: whose metadata name a COCO file as ``json_file``; where there is none, one is
            written to ``output_dir`` from the records, which then need ``annotations``.
        tasks: some of "bbox" and "segm"; None for what the predictions have.
        distributed: join the predictions of all processes.
        output_dir: where the predictions are written; None for nowhere.
        max_dets_per_image: detections that count; None for 100.
        use_fast_impl: there is one implementation here; accepted as Detectron2 does.
        allow_cached_coco: use a COCO file that an earlier run has written.
    """

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
        use_fast_impl: bool = False,
        allow_cached_coco: bool = True,
    ) -> None:
        unknown = set(tasks or ()) - set(_TASKS)
        assert not unknown, f"tasks {sorted(unknown)} are none of {', '.join(_TASKS)}"
        self._logger = logging.getLogger(__name__)
        self._tasks = tasks
        self._distributed = distributed
        self._output_dir = Path(output_dir) if output_dir else None
        self._max_dets = [1, 10, 100 if max_dets_per_image is None else max_dets_per_image]
        self._metadata = MetadataCatalog.get(dataset_name)
        if self._metadata.get("json_file", None) is None:
            if self._output_dir is None:
                raise ValueError(f"{dataset_name} has no COCO file; give output_dir to write one")
            path = self._output_dir / f"{dataset_name}_coco_format.json"
            if allow_cached_coco and path.exists():
                self._logger.warning("Using %s as it is; delete it if the data changed.", path)
            else:
                _write_coco_json(dataset_name, path)
            self._metadata.json_file = str(path)
        with contextlib.redirect_stdout(io.StringIO()):
            self._coco = COCO(self._metadata.json_file)
        self.reset()

    def reset(self) -> None:
        """Forget all predictions."""
        self._predictions: list[dict[str, Any]] = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Keep the ``"instances"`` of a batch whose records have an ``image_id``."""
        for record, output in zip(inputs, outputs, strict=True):
            if "instances" not in output:
                continue
            instances = output["instances"].to(torch.device("cpu"))
            image_id = record["image_id"]
            found = _to_coco(instances, image_id)
            self._predictions.append({"image_id": image_id, "instances": found})

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Return task -> metric -> value.

        Nothing without predictions, without a single annotation, or off the main process.

        A metric that cannot be computed, such as that of a class that does not occur, is NaN.
        """
        predictions = self._predictions
        if self._distributed:
            comm.synchronize()
            predictions = [entry for part in comm.gather(predictions) for entry in part]
            if not comm.is_main_process():
                return {}
        if not predictions:
            self._logger.warning("[COCOEvaluator] Did not receive valid predictions.")
            return {}
        detections = [found for entry in predictions for found in entry["instances"]]
        detections = self._restore_category_ids(detections)
        if self._output_dir:
            self._output_dir.mkdir(parents=True, exist_ok=True)
            torch.save(predictions, self._output_dir / "instances_predictions.pth")
            path = self._output_dir / "coco_instances_results.json"
            path.write_text(json.dumps(detections))
        if "annotations" not in self._coco.dataset:
            self._logger.info("Annotations are not available for evaluation.")
            return {}
        with_masks = any("segmentation" in found for found in detections)
        tasks = self._tasks or (("bbox", "segm") if with_masks else ("bbox",))
        return {task: self._score(task, detections) for task in sorted(tasks)}

    def _restore_category_ids(self, detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return detections with the class numbers of the COCO file, not the model's."""
        numbers = self._metadata.get("thing_dataset_id_to_contiguous_id", None)
        if numbers is None:
            return detections
        back = {contiguous: original for original, contiguous in numbers.items()}
        return [{**found, "category_id": back[found["category_id"]]} for found in detections]

    def _score(self, task: str, detections: list[dict[str, Any]]) -> dict[str, float]:
        if not detections:  # pycocotools cannot load an empty list
            self._logger.warning("No predictions from the model!")
            return dict.fromkeys(_METRICS, float("nan"))
        detections = copy.deepcopy(detections)
        if task == "segm":
            for found in detections:
                found.pop("bbox", None)  # else areas are those of boxes
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self._coco, self._coco.loadRes(detections), task)
            evaluation.params.maxDets = self._max_dets
            evaluation.evaluate()
            evaluation.accumulate()
        # (IoU threshold, recall, class, area range) at the largest number of detections. The means
        # are taken here, because COCOeval.summarize knows AP at 100 detections alone.
        precision, params = evaluation.eval["precision"][..., -1], evaluation.params
        scores = {}
        for metric, (threshold, area) in _METRICS.items():
            chosen = precision[..., params.areaRngLbl.index(area)]
            if threshold is not None:
                chosen = chosen[np.isclose(params.iouThrs, threshold)]
            scores[metric] = _mean_precision(chosen)
        table = ", ".join(f"{metric} {value:.3f}" for metric, value in scores.items())
        self._logger.info("Evaluation results for %s: %s", task, table)
        names = self._metadata.get("thing_classes", None)
        if names is not None and len(names) > 1:
            for index, name in enumerate(names):
                scores[f"AP-{name}"] = _mean_precision(precision[:, :, index, 0])
        return scores


def _mean_precision(precision: np.ndarray) -> float:
    """Return the mean in per cent; -1 stands for what does not occur."""
    known = precision[precision > -1]
    return float(100 * known.mean()) if known.size else float("nan")


def _to_coco(instances: Instances, image_id: int) -> list[dict[str, Any]]:
    """Return detections as COCO's entries; masks run-length encoded."""
    if not len(instances):
        return []
    boxes = BoxMode.convert(instances.pred_boxes.tensor, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    entries = [
        {"image_id": image_id, "category_id": number, "bbox": box, "score": score}
        for number, box, score in zip(
            instances.pred_classes.tolist(), boxes.tolist(), instances.scores.tolist(), strict=True
        )
    ]
    if instances.has("pred_masks"):
        for entry, mask in zip(entries, instances.pred_masks, strict=True):
            encoded = mask_utils.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
            entry["segmentation"] = {**encoded, "counts": encoded["counts"].decode()}
    return entries


def _write_coco_json(dataset_name: str, path: Path) -> None:
    """Write the annotations of a data set of records as a COCO file."""
    metadata = MetadataCatalog.get(dataset_name)
    numbers = metadata.get("thing_dataset_id_to_contiguous_id", None)
    back = {value: key for key, value in numbers.items()} if numbers is not None else {}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, record in enumerate(DatasetCatalog.get(dataset_name)):
        image_id = record.get("image_id", index)
        size = {"height": int(record["height"]), "width": int(record["width"])}
        images.append({"id": image_id, "file_name": str(record["file_name"]), **size})
        for annotation in record.get("annotations", []):
            annotations.append(_coco_annotation(annotation, image_id, len(annotations) + 1, back))
    categories = [
        {"id": back.get(index, index), "name": name}
        for index, name in enumerate(metadata.thing_classes)
    ]
    content: dict[str, Any] = {
        "info": {},
        "licenses": [],
        "images": images,
        "categories": categories,
    }
    if annotations:  # a file without the key is one of a test set
        content["annotations"] = annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    # Every process of a run writes the same file, so each needs a partial one of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)


def _coco_annotation(
    annotation: dict[str, Any], image_id: int, number: int, back: dict[int, int]
) -> dict[str, Any]:
    """Return one object as COCO has it."""
    box = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYWH_ABS)
    category = annotation["category_id"]
    entry = {
        "id": number,
        "image_id": image_id,
        "bbox": [round(float(value), 3) for value in box],
        "area": float(box[2] * box[3]),
        "iscrowd": int(annotation.get("iscrowd", 0)),
        "category_id": int(back.get(category, category)),
    }
    outline = annotation.get("segmentation")
    if isinstance(outline, dict):
        entry["area"] = float(mask_utils.area(outline))
        counts = outline["counts"]
        counts = counts.decode() if isinstance(counts, bytes) else counts
        outline = {"size": list(outline["size"]), "counts": counts}
    elif outline is not None:
        outline = [[float(value) for value in polygon] for polygon in outline]
        entry["area"] = sum(_polygon_area(polygon) for polygon in outline)
    if outline is not None:
        entry["segmentation"] = outline
    return entry


def _polygon_area(polygon: list[float]) -> float:
    """Return the area of x, y, x, y, ... by the shoelace formula."""
    x, y = polygon[0::2], polygon[1::2]
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
