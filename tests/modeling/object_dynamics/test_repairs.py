"""Repairs of what ObjectDynamics predicts, on a model that was not trained."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.modeling import build_model
from vps_d2.data.synthetic import SyntheticOptions, render_masks, simulate
from vps_d2.modeling.object_dynamics import ObjectDynamics
from vps_d2.modeling.object_dynamics.camera import GroundCamera
from vps_d2.modeling.object_dynamics.repairs import find_contacts, repair

CONFIG = ROOT / "configs" / "instant_test" / "object_dynamics_instant_test.yaml"


@pytest.fixture(scope="module")
def model() -> ObjectDynamics:
    torch.manual_seed(0)
    return build_model(load_config(CONFIG, ["MODEL.DEVICE", "cpu"])).eval()


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return render_masks(simulate(4), SyntheticOptions())


def jaccard(mask: np.ndarray, truth: np.ndarray) -> float:
    found = (mask > 0) & (mask == truth)
    return found.sum() / ((mask > 0) | (truth > 0)).sum()


def test_every_repair_makes_it_better_and_only_the_unseen_is_missing_at_last(model, masks):
    repairs = repair(model, masks[:11], masks, 11, nullcontext())
    assert (repairs.masks[0] == repairs.masks[1]).all()  # nothing was wrong with the input
    scores = [jaccard(mask, repairs.truth) for mask in repairs.masks]
    assert scores[1] <= scores[2] <= scores[3] and scores[3] > 0.6
    seen = np.isin(repairs.truth, np.unique(masks[:11]))
    assert (repairs.masks[4] == np.where(seen, repairs.truth, 0)).all()
    assert sum(repairs[2:5]) == len(np.unique(repairs.truth)) - 1


def test_an_empty_video_lost_nothing(model):
    empty = np.zeros((22, 32, 48), np.uint8)
    repairs = repair(model, empty[:11], empty, 11, nullcontext())
    assert not any(mask.any() for mask in repairs.masks) and repairs[2:5] == (0, 0, 0)


def squares(*columns: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((2, 160, 240), np.uint8)
    for number, moving in enumerate(columns, 1):
        for frame, column in enumerate(moving):
            masks[frame, 70:90, column : column + 20] = number
    return masks


def test_objects_that_pass_through_each_other_between_frames_meet():
    camera = GroundCamera()
    assert find_contacts(camera, squares((50, 150), (150, 50), (215, 215))) == {1, 2}
    assert find_contacts(camera, squares((50, 60), (150, 140))) == set()
    assert find_contacts(camera, squares()) == set()
