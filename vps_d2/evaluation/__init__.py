"""Scores, and the evaluators that compute them for a data set."""

from vps_d2.evaluation.evaluators import (
    FramePredictionEvaluator,
    SemanticJaccardEvaluator,
)
from vps_d2.evaluation.future_mask import FutureMaskEvaluator
from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex

__all__ = [
    "FrameErrors",
    "FramePredictionEvaluator",
    "FutureMaskEvaluator",
    "JaccardIndex",
    "SemanticJaccardEvaluator",
]
