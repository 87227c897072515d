"""Scores of a model on a data set."""

from vps_d2.d2.embedded.evaluation.coco_evaluation import COCOEvaluator
from vps_d2.d2.embedded.evaluation.evaluator import (
    DatasetEvaluator,
    DatasetEvaluators,
    inference_context,
    inference_on_dataset,
)
from vps_d2.d2.embedded.evaluation.testing import print_csv_format

__all__ = [
    "COCOEvaluator",
    "DatasetEvaluator",
    "DatasetEvaluators",
    "inference_context",
    "inference_on_dataset",
    "print_csv_format",
]
