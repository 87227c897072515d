"""Scores, and the evaluators that compute them for a data set."""

from vps_d2.evaluation.evaluators import (
    FramePredictionEvaluator,
    SemanticJaccardEvaluator,
)
from vps_d2.evaluation.future_mask import FutureMaskEvaluator
from vps_d2.evaluation.mask_fusion import FusionEvaluator
from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex
from vps_d2.evaluation.tube_ap import TubeAP
from vps_d2.evaluation.video_objects import VOSEvaluator, evaluate_vos
from vps_d2.evaluation.vos_metrics import SequenceScores, boundary_similarity, region_similarity
from vps_d2.evaluation.ytvis import YTVISEvaluator, evaluate_tubes

__all__ = [
    "FrameErrors",
    "FramePredictionEvaluator",
    "FusionEvaluator",
    "FutureMaskEvaluator",
    "JaccardIndex",
    "SemanticJaccardEvaluator",
    "SequenceScores",
    "TubeAP",
    "VOSEvaluator",
    "YTVISEvaluator",
    "boundary_similarity",
    "evaluate_tubes",
    "evaluate_vos",
    "region_similarity",
]
