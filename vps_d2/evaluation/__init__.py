"""Scores, and the evaluators that take them over a data set."""

from vps_d2.evaluation.evaluators import (
    EVALUATOR_REGISTRY,
    FramePredictionEvaluator,
    SemanticJaccardEvaluator,
    build_evaluator,
)
from vps_d2.evaluation.future_mask import FutureMaskEvaluator
from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex
from vps_d2.evaluation.semantic import instances_to_semantic

__all__ = [
    "EVALUATOR_REGISTRY",
    "FrameErrors",
    "FramePredictionEvaluator",
    "FutureMaskEvaluator",
    "JaccardIndex",
    "SemanticJaccardEvaluator",
    "build_evaluator",
    "instances_to_semantic",
]
