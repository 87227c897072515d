"""Evaluators: Detectron2's ``detectron2.evaluation``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.evaluation import (
        COCOEvaluator,
        DatasetEvaluator,
        DatasetEvaluators,
        inference_context,
    )
else:
    from vps_d2.d2.embedded.evaluation import (
        COCOEvaluator,
        DatasetEvaluator,
        DatasetEvaluators,
        inference_context,
    )

__all__ = ["COCOEvaluator", "DatasetEvaluator", "DatasetEvaluators", "inference_context"]
