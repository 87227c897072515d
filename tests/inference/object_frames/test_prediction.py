"""Frames from what a mask predictor says, alone and as the predictor of a pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.inference.object_frames.made import Thing, film, thing
from tests.pipeline_stubs import write_pipeline
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.data.silhouettes import measure_silhouettes
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.object_frames.prediction import render_prediction
from vps_d2.io.errors import UserError


def say(things: list[Thing], masks: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what a mask predictor would say of frames 4-6."""
    places = np.stack([each.places[3:] for each in things]).astype(np.float32)
    return {
        "masks": torch.from_numpy(masks[3:]),
        "class_ids": torch.tensor([each.class_id for each in things]),
        "places": torch.from_numpy(places),
        "probabilities": torch.ones(places.shape[:2]),
    }


def test_frames_follow_the_prediction() -> None:
    things = [thing("red rubber sphere", (-1.0, 7.0), (1.0, 8.0))]
    frames, masks = film(things)
    output = say(things, masks)
    made = render_prediction(frames[:3], masks[:3], output)
    assert ((made.astype(float) - frames[3:]) ** 2).mean() < 8
    assert (render_prediction(frames[:3], masks[:3], output, 1) == made[1:2]).all()


def test_yaws_are_those_that_are_said_if_they_are_certain() -> None:
    things = [thing("purple metal cube", (0.0, 7.0), (0.0, 7.0), turn=1.2)]
    frames, masks = film(things)
    output = say(things, masks)
    measured = render_prediction(frames[:3], masks[:3], output)
    four = 4 * np.stack([each.yaws[3:] for each in things])
    directions = np.stack([np.cos(four), np.sin(four)], axis=-1).astype(np.float32)
    said = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(directions)}
    )
    unsure = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(-0.1 * directions)}
    )
    assert (unsure == measured).all()
    for made in (said, measured):
        assert ((made.astype(float) - frames[3:]) ** 2).mean() < 12
    wrong = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(-directions)}
    )
    assert (wrong != said).any()


def test_what_is_improbable_casts_no_shadow() -> None:
    things = [thing("gray metal cylinder", (0.0, 5.0), (0.0, 3.4))]
    frames, masks = film(things)
    output = say(things, masks)
    output["masks"] = torch.zeros_like(output["masks"])
    made = render_prediction(frames[:3], masks[:3], output)
    output["probabilities"] = torch.full((1, 3), 0.1)
    lit = render_prediction(frames[:3], masks[:3], output)
    assert (lit.astype(int) - made).min() >= 0 and (lit.astype(int) - made).max() > 15


@pytest.mark.parametrize("count", [0, 1])
def test_videos_without_objects(count: int) -> None:
    frames, masks = film([thing("red rubber cube", (0.0, -9.0), (0.0, -9.0))])
    output = {
        "masks": torch.from_numpy(masks[3:]),
        "class_ids": torch.ones(count, dtype=torch.long),  # never seen, and drawn nowhere
        "places": torch.zeros(count, 3, 2),
        "probabilities": torch.zeros(count, 3),
    }
    made = render_prediction(frames[:3], masks[:3], output)
    assert np.abs(made.astype(int) - frames[3:]).max() < 5


def test_a_mask_predictor_without_objects_is_a_sentence() -> None:
    frames, masks = film([thing("red rubber cube", (0.0, 7.0), (0.0, 7.0))])
    with pytest.raises(UserError, match=r"gives no class_ids, masks, places, .*_frames\.yaml"):
        render_prediction(frames[:3], masks[:3], {"mask": torch.from_numpy(masks[-1])})


@META_ARCH_REGISTRY.register()
class StubFollower(torch.nn.Module):
    """Say that object 1 stays where it was last."""

    task = "future_masks"

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        measured = [measure_silhouettes(each["masks"].numpy(), np.array([1])) for each in inputs]
        return [
            {
                "mask": video["masks"][-1],
                "masks": video["masks"][-1:].repeat(11, 1, 1),
                "class_ids": torch.tensor([1]),
                "places": torch.from_numpy(measures[:, -1:, 1:3]).expand(1, 11, 2),
                "probabilities": torch.ones(1, 11),
            }
            for video, measures in zip(inputs, measured, strict=True)
        ]


def test_a_mask_predictor_as_the_predictor_of_a_pipeline(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, "follower.yaml")
    (tmp_path / "follower.yaml").write_text(
        "MODEL:\n  META_ARCHITECTURE: StubFollower\n  DEVICE: cpu\n"
        f"  WEIGHTS: {tmp_path / 'stub.pth'}\nVERSION: 2\n"
    )
    frames = np.full((2, 11, 64, 96, 3), 100, np.uint8)
    frames[1, :, 20:36, 40:56, 0] = 200  # object 1
    pipeline = FutureMaskPredictor.from_config_file(path)
    results = pipeline(frames)
    assert (
        results[1].frames.shape == (11, 64, 96, 3) and results[1].captions()[-1] == "predicted 22"
    )
    assert np.abs(results[1].frames[:, 24:32, 44:52].astype(int) - (200, 100, 100)).max() < 8
    assert (results[1].mask == frames[1, 0, ..., 0] // 200).mean() > 0.97
    assert np.abs(results[0].frames.astype(int) - 100).max() < 4 and not results[0].mask.any()
    for one, other in zip(pipeline(frames, want_frames=False), results, strict=True):
        assert (one.mask == other.mask).all()
