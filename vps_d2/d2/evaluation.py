"""Evaluators: Detectron2's ``detectron2.evaluation``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.evaluation import (
        COCOEvaluator,
        DatasetEvaluator,
        DatasetEvaluators,
        SemSegEvaluator,
        inference_context,
        inference_on_dataset,
        print_csv_format,
    )
else:
    from vps_d2.d2.embedded.evaluation import (
        COCOEvaluator,
        DatasetEvaluator,
        DatasetEvaluators,
        SemSegEvaluator,
        inference_context,
        inference_on_dataset,
        print_csv_format,
    )

__all__ = [
    "COCOEvaluator",
    "DatasetEvaluator",
    "DatasetEvaluators",
    "SemSegEvaluator",
    "inference_context",
    "inference_on_dataset",
    "print_csv_format",
]
