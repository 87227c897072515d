"""Scores of semantic segmentation."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from vps_d2.d2.embedded.data.catalog import DatasetCatalog, MetadataCatalog
from vps_d2.d2.embedded.evaluation.evaluator import DatasetEvaluator
from vps_d2.d2.embedded.utils import comm
from vps_d2.io.errors import UserError

__all__ = ["SemSegEvaluator"]


def _load_image(path: str, dtype: Any = None) -> np.ndarray:
    try:
        with Image.open(path) as image:  # gives the numbers of a palette, as OpenCV does not
            return np.array(image, dtype=dtype)
    except OSError as error:
        raise UserError(f"{path} is no readable image of classes; replace it.") from error


class SemSegEvaluator(DatasetEvaluator):
    """Intersection over union, and accuracy, of every class over a whole data set.

    Args:
        dataset_name: whose records have ``file_name`` and ``sem_seg_file_name``, and whose
            metadata have ``stuff_classes`` and, if some pixels do not count, ``ignore_label``.
        distributed: join the counts of all processes.
        output_dir: where predictions and scores are written; None for nowhere.
        sem_seg_loading_fn: called as ``fn(path, dtype=int)`` for the true classes (H, W).
    """

    def __init__(
        self,
        dataset_name: str,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        sem_seg_loading_fn: Callable[..., np.ndarray] = _load_image,
    ) -> None:
        self._distributed = distributed
        self._output_dir = Path(output_dir) if output_dir else None
        self._load = sem_seg_loading_fn
        self._truth = {
            record["file_name"]: record["sem_seg_file_name"]
            for record in DatasetCatalog.get(dataset_name)
        }
        metadata = MetadataCatalog.get(dataset_name)
        numbers = metadata.get("stuff_dataset_id_to_contiguous_id", None) or {}
        self._dataset_ids = {contiguous: original for original, contiguous in numbers.items()}
        self._class_names = list(metadata.stuff_classes)
        self._ignore_label = metadata.get("ignore_label", None)
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        size = len(self._class_names) + 1  # the last one is what does not count
        self._confusion = np.zeros((size, size), dtype=np.int64)
        self._predictions: list[dict[str, Any]] = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Count a batch of outputs with ``"sem_seg"`` scores (C, H, W)."""
        size = len(self._confusion)
        for record, output in zip(inputs, outputs, strict=True):
            predicted = output["sem_seg"].argmax(dim=0).cpu().numpy()
            truth = np.array(self._load(self._truth[record["file_name"]], dtype=int))
            truth[truth == self._ignore_label] = size - 1
            counts = np.bincount((size * predicted + truth).ravel(), minlength=size * size)
            self._confusion += counts.reshape(size, size)
            if self._output_dir:
                self._predictions += self.encode_json_sem_seg(predicted, record["file_name"])

    def encode_json_sem_seg(self, sem_seg: np.ndarray, file_name: str) -> list[dict[str, Any]]:
        """Return COCO's entries, one for each class in a prediction (H, W)."""
        entries = []
        for label in np.unique(sem_seg):
            encoded = mask_utils.encode(np.asfortranarray(sem_seg == label, dtype=np.uint8))
            encoded["counts"] = encoded["counts"].decode()
            number = int(self._dataset_ids.get(int(label), label))
            entries.append({"file_name": file_name, "category_id": number, "segmentation": encoded})
        return entries

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"sem_seg": {...}}`` in per cent, on the main process alone.

        mIoU and mACC are means over the classes that occur, fwIoU weighs them by their pixels,
        pACC is the share of pixels that are right; ``IoU-<class>`` and ``ACC-<class>``. Where no
        pixel counts, fwIoU is 0 and all others are NaN, as in Detectron2.
        """
        confusion, predictions = self._confusion, self._predictions
        if self._distributed:
            comm.synchronize()
            parts = comm.gather((confusion, predictions))
            if not comm.is_main_process():
                return None
            confusion = sum(part for part, _ in parts)
            predictions = [entry for _, entries in parts for entry in entries]
        scores = self._scores(confusion[:-1, :-1].astype(float))
        if self._output_dir:
            self._output_dir.mkdir(parents=True, exist_ok=True)
            (self._output_dir / "sem_seg_predictions.json").write_text(json.dumps(predictions))
            torch.save(scores, self._output_dir / "sem_seg_evaluation.pth")
        results = {"sem_seg": scores}
        logging.getLogger(__name__).info(results)
        return results

    def _scores(self, confusion: np.ndarray) -> dict[str, float]:
        """Return the scores of a table of pixels, (predicted, true)."""
        hits, predicted, true = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        with np.errstate(invalid="ignore"):
            accuracy = np.where(true > 0, hits / true, np.nan)
            iou = np.where(true > 0, hits / (true + predicted - hits), np.nan)
            weights = true / true.sum()
            there = true > 0
            scores = {
                "mIoU": iou[there].mean() if there.any() else np.nan,
                "fwIoU": (iou[there] * weights[there]).sum(),
                **{f"IoU-{n}": v for n, v in zip(self._class_names, iou, strict=True)},
                "mACC": accuracy[there].mean() if there.any() else np.nan,
                "pACC": hits.sum() / true.sum(),
                **{f"ACC-{n}": v for n, v in zip(self._class_names, accuracy, strict=True)},
            }
        return {name: 100 * float(value) for name, value in scores.items()}
