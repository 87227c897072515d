"""COCO's average precision of detected boxes and masks."""

import contextlib
import copy
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vps_d2.d2.embedded.data.catalog import MetadataCatalog
from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.evaluation.evaluator import DatasetEvaluator
from vps_d2.d2.embedded.structures import BoxMode, Instances
from vps_d2.d2.embedded.utils import comm

__all__ = ["COCOEvaluator"]

_TASKS = ("bbox", "segm")
# The IoU threshold (None: the mean over all) and the range of areas of each metric.
_METRICS = {
    "AP": (None, "all"),
    "AP50": (0.5, "all"),
    "AP75": (0.75, "all"),
    "APs": (None, "small"),
    "APm": (None, "medium"),
    "APl": (None, "large"),
}


class COCOEvaluator(DatasetEvaluator):
    """Average precision, in percent, of boxes ("bbox") and masks ("segm").

    Args:
        dataset_name: whose metadata name a COCO file as ``json_file``.
        tasks: some of "bbox" and "segm"; None for what the predictions have.
        output_dir: where the predictions are written; None for nowhere.
        use_fast_impl: there is one implementation here; accepted as Detectron2 does.
        allow_cached_coco: no COCO file is written here; accepted as Detectron2 does.

    Raises:
        ValueError: if the metadata do not name a COCO file.
    """

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | None = None,
        output_dir: str | None = None,
        *,
        use_fast_impl: bool = False,
        allow_cached_coco: bool = True,
    ) -> None:
        unknown = set(tasks or ()) - set(_TASKS)
        assert not unknown, f"tasks must be some of {', '.join(_TASKS)}, not {sorted(unknown)}"
        self._logger = logging.getLogger(__name__)
        self._tasks = tasks
        self._output_dir = Path(output_dir) if output_dir else None
        self._metadata = MetadataCatalog.get(dataset_name)
        if self._metadata.get("json_file", None) is None:
            raise user_error(
                f"the metadata of data set {dataset_name} do not name a COCO file; write one, and "
                "set its path as json_file."
            )
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

        The result is empty without predictions, without any annotation, and outside the main
        process.

        A metric that cannot be computed, such as that of a class that does not occur, is NaN.
        """
        comm.synchronize()
        predictions = [entry for part in comm.gather(self._predictions) for entry in part]
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
            evaluation.evaluate()
            evaluation.accumulate()
        # (IoU threshold, recall, class, area range) at 100 detections per image. The means are
        # computed here, because COCOeval.summarize has none of single classes.
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
    """Return the mean in percent; -1 stands for what does not occur."""
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
