import numpy as np
import pytest
import torch

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.engine.evaluators import build_evaluator


@pytest.fixture
def evaluator():
    cfg = get_vps_cfg()
    cfg.TEST.EVALUATORS = ("FutureMaskEvaluator",)
    evaluator = build_evaluator(cfg, "vps_val")
    evaluator.reset()
    return evaluator


def sample() -> dict:
    masks = torch.zeros(3, 4, 8, dtype=torch.uint8)
    masks[0, :, 0:4] = 7  # frame 11
    masks[1:, :, 2:6] = 7
    return {
        "masks": masks[:1],
        "target_masks": masks[1:],
        "target_valid": torch.ones(2, dtype=torch.bool),
    }


@pytest.mark.parametrize("kind", ["mask", "sem_seg"])
def test_the_truth_is_one_and_the_copy_is_told(evaluator, kind: str) -> None:
    video = sample()
    truth = video["target_masks"][-1]
    logits = torch.nn.functional.one_hot(truth.long(), 49).permute(2, 0, 1).float()
    evaluator.process([video], [{"mask": truth} if kind == "mask" else {"sem_seg": logits}])
    scores = evaluator.evaluate()["future_mask"]
    assert scores["jaccard"] == 1
    assert scores["copy"] == pytest.approx(1 / 3)  # object and background alike


def test_videos_without_frame_22_are_passed_over(evaluator) -> None:
    video = sample()
    video["target_valid"][-1] = False
    evaluator.process([video], [{"mask": video["masks"][-1]}])
    assert np.isnan(evaluator.evaluate()["future_mask"]["jaccard"])
