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
from vps_d2.data.synthetic.background import empty_floor
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.object_frames.prediction import render_prediction
from vps_d2.io.errors import UserError


def say(things: list[Thing], masks: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what a mask predictor would say of frames 4-6."""
    places = np.stack([each.places[3:] for each in things]).astype(np.float32)
    return {
        "class_ids": torch.tensor([each.class_id for each in things]),
        "places": torch.from_numpy(places),
        "probabilities": torch.ones(places.shape[:2]),
    }


def test_frames_follow_the_prediction() -> None:
    things = [thing("red rubber sphere", (-1.0, 7.0), (1.0, 8.0))]
    frames, masks = film(things)
    output = say(things, masks)
    made = render_prediction(frames[:3], masks[:3], output, 3)
    assert ((made.astype(float) - frames[3:]) ** 2).mean() < 8
    assert (render_prediction(frames[:3], masks[:3], output, 3, 1) == made[1:2]).all()


def test_yaws_are_those_that_are_said_if_they_are_certain() -> None:
    things = [thing("purple metal cube", (0.0, 7.0), (0.0, 7.0), turn=1.2)]
    frames, masks = film(things)
    output = say(things, masks)
    kept = render_prediction(frames[:3], masks[:3], output, 3)
    four = 4 * np.stack([each.yaws[3:] for each in things])
    directions = np.stack([np.cos(four), np.sin(four)], axis=-1).astype(np.float32)
    said = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(directions)}, 3
    )
    unsure = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(-0.05 * directions)}, 3
    )
    wrong = render_prediction(
        frames[:3], masks[:3], {**output, "orientations": torch.from_numpy(-directions)}, 3
    )
    assert (unsure == kept).all()
    best, *others = (
        ((each - frames[3:].astype(float)) ** 2).mean() for each in (said, kept, wrong)
    )
    assert best < 12 and best < 0.7 * min(others)


def test_what_is_improbable_is_not_drawn() -> None:
    things = [thing("gray metal cylinder", (0.0, 5.0), (0.0, 7.0))]
    frames, masks = film(things)
    output = say(things, masks)
    output["probabilities"][:, 1] = 0.1
    made = render_prediction(frames[:3], masks[:3], output, 3)
    assert (
        np.abs(made[1] - empty_floor(80, 120)).max()
        < 8
        < np.abs(made[0] - empty_floor(80, 120)).max()
    )


@pytest.mark.parametrize("count", [0, 1])
def test_videos_without_objects(count: int) -> None:
    frames, masks = film([thing("red rubber cube", (0.0, -9.0), (0.0, -9.0))])
    output = {
        "class_ids": torch.ones(count, dtype=torch.long),  # never seen, and drawn nowhere
        "places": torch.zeros(count, 3, 2),
        "probabilities": torch.zeros(count, 3),
    }
    made = render_prediction(frames[:3], masks[:3], output, 3)
    assert np.abs(made.astype(int) - frames[3:]).max() < 5


def test_a_mask_predictor_without_objects_is_a_sentence() -> None:
    frames, masks = film([thing("red rubber cube", (0.0, 7.0), (0.0, 7.0))])
    with pytest.raises(UserError, match=r"gives no class_ids, places, .*dynamics\.yaml"):
        render_prediction(frames[:3], masks[:3], {"mask": torch.from_numpy(masks[-1])}, 3)


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
    assert np.abs(results[1].frames[:, 26:30, 46:50].astype(int) - (200, 100, 100)).max() < 8
    assert (results[1].mask == frames[1, 0, ..., 0] // 200).mean() > 0.95
    assert np.abs(results[0].frames.astype(int) - 100).max() < 4 and not results[0].mask.any()
    for one, other in zip(pipeline(frames, want_frames=False), results, strict=True):
        assert (one.mask == other.mask).all()
