"""The evaluator of networks that fuse masks."""

import pytest
import torch

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.mask_fusion import FusionEvaluator


def test_scores_objects_before_and_after_fusion() -> None:
    assert EVALUATOR_REGISTRY.get("FusionEvaluator") is FusionEvaluator
    evaluator = FusionEvaluator(get_vps_cfg(), "pairs")
    truth = torch.zeros(4, 8, dtype=torch.uint8)
    truth[:, :4], truth[:2, 4:] = 1, 2
    masks = torch.zeros(2, 3, 4, 8)
    masks[0, 0, :, :2] = masks[0, 1, :, :6] = 1  # half of object 1, and too much of it
    masks[1, :2, :2, 4:] = 1  # object 2 as it is
    probabilities = torch.nn.functional.one_hot(truth.long(), 3).movedim(-1, 0).float()
    probabilities[:, :2, 4:] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]  # object 2 is lost
    sample = {"object_map": truth, "masks": masks}
    evaluator.process([sample], [{"probabilities": probabilities}])
    scores = evaluator.evaluate()["fusion"]
    assert scores == pytest.approx({"J/old": 0.75, "J/new": (4 / 6 + 1) / 2, "J/fused": 0.5})
    evaluator.reset()
    assert evaluator.evaluate() == {"fusion": {}}
