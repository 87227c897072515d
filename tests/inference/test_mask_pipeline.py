"""The pipeline with a mask predictor, on stub models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from tests.pipeline_stubs import write_pipeline
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.inference.future_masks import FutureMaskPredictor, output_to_mask
from vps_d2.inference.models import LoadedModel
from vps_d2.io.errors import UserError


@META_ARCH_REGISTRY.register()
class StubMaskPredictor(torch.nn.Module):
    """Move the last mask one row down, and add class 48, which was never seen."""

    task = "future_masks"

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        outputs = []
        for video in inputs:
            assert video["masks"].dtype == torch.uint8 and video["masks"].shape[0] == 11
            mask = video["masks"][-1].roll(1, 0)
            mask[0, 0] = 48
            outputs.append({"mask": mask})
        return outputs


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_pipeline(tmp_path)
    (tmp_path / "mask_predictor.yaml").write_text(
        "MODEL:\n  META_ARCHITECTURE: StubMaskPredictor\n  DEVICE: cpu\n"
        f"  WEIGHTS: {tmp_path / 'stub.pth'}\nVERSION: 2\n"
    )
    text = path.read_text().replace("VERSION: 2\n", "")
    path.write_text(f"{text}  MASK_PREDICTOR:\n    CONFIG_FILE: mask_predictor.yaml\nVERSION: 2\n")
    return path


@pytest.fixture
def frames() -> np.ndarray:
    frames = np.full((3, 12, 16, 24, 3), 100, np.uint8)
    frames[1, :, 4:8, 4:8, 0] = 200  # object 1
    return frames


@pytest.mark.parametrize(("join", "expected"), [("True", {0, 1}), ("False", {0, 1, 2})])
def test_an_object_keeps_its_class_through_a_video(
    config: Path, frames: np.ndarray, join: str, expected: set[int]
) -> None:
    frames[1, 5, 4:8, 4:8] = (100, 200, 100)  # object 2, for once
    pipeline = FutureMaskPredictor.from_config_file(config, ["PIPELINE.JOIN_CONFUSED", join])
    masks = pipeline.segment_videos(frames)
    assert masks.shape == frames.shape[:4] and set(np.unique(masks)) == expected


def test_the_mask_comes_from_the_masks_of_the_input(config: Path, frames: np.ndarray) -> None:
    pipeline = FutureMaskPredictor.from_config_file(config, ["PIPELINE.BATCH_SIZE", "2"])
    results = pipeline(frames)
    assert (np.argwhere(results[1].mask)[[0, -1]] == [[5, 4], [8, 7]]).all()
    assert results[1].mask.dtype == np.uint8 and not results[0].mask.any()
    assert results[1].frames.shape == (11, 16, 24, 3)  # those of the predictor
    assert pipeline(frames[:0]) == []
    assert pipeline.predict_masks(frames[:0]).shape == (0, 16, 24)


def test_frames_that_nobody_wants_are_not_predicted(
    config: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = FutureMaskPredictor.from_config_file(config)
    wanted = pipeline(frames)
    monkeypatch.setattr(pipeline, "predictor", lambda _: pytest.fail("frames were predicted"))
    monkeypatch.setattr(pipeline, "_frame_numbers", lambda _: range(12, 23))
    for one, other in zip(pipeline(frames, want_frames=False), wanted, strict=True):
        assert (one.mask == other.mask).all()
        assert one.frames.shape == (0, 16, 24, 3) and not one.captions()


def test_without_a_predictor_the_frame_is_the_last_one(config: Path, frames: np.ndarray) -> None:
    opts = ["PIPELINE.PREDICTOR.CONFIG_FILE", ""]
    result = FutureMaskPredictor.from_config_file(config, opts)(frames)[1]
    assert (result.frames == frames[1, -1:]).all()
    assert (result.mask == 1).sum() == 16


def test_the_mask_of_another_frame_is_refused(config: Path) -> None:
    opts = ["INPUT.NUM_KNOWN_FRAMES", "11", "PIPELINE.TARGET_FRAME", "20"]
    with pytest.raises(UserError, match="gives the mask of frame 22, not of frame 20"):
        FutureMaskPredictor.from_config_file(config, opts)


def test_unseen_classes_are_dropped_or_kept(config: Path, frames: np.ndarray) -> None:
    opts = ["PIPELINE.SEEN_CLASSES_ONLY", "False"]
    results = FutureMaskPredictor.from_config_file(config, opts)(frames)
    assert [result.mask[0, 0] for result in results] == [48] * 3


def test_too_few_frames_are_a_sentence(config: Path, frames: np.ndarray) -> None:
    opts = ["PIPELINE.PREDICTOR.CONFIG_FILE", ""]
    with pytest.raises(UserError, match="needs 11 frames"):
        FutureMaskPredictor.from_config_file(config, opts)(frames[:, :10])


def test_logits_of_barred_classes_do_not_win() -> None:
    logits = torch.full((49, 2, 2), -torch.inf)
    logits[0], logits[9] = 0.0, 1.0
    assert (output_to_mask({"sem_seg": logits}, 0.5) == 9).all()
    assert not output_to_mask({"sem_seg": logits}, 0.5, np.array([0, 3])).any()


def test_a_pipeline_without_mask_predictor_has_no_masks_to_predict(frames: np.ndarray) -> None:
    segmenter = LoadedModel(torch.nn.Identity(), get_vps_cfg())
    with pytest.raises(ValueError, match="no mask predictor"):
        FutureMaskPredictor(None, segmenter).predict_masks(frames)


@pytest.mark.parametrize("segmenter", ["unet", "mask_rcnn"])
def test_shipped_pipelines(segmenter: str) -> None:
    folder = ROOT / "configs" / "pipeline"
    masks = load_pipeline_config(folder / f"{segmenter}_mask_simvp.yaml").PIPELINE
    assert Path(masks.MASK_PREDICTOR.CONFIG_FILE).is_file()
    assert masks.MASK_PREDICTOR.WEIGHTS.endswith("weights/mask_simvp.pth")
    assert masks.PREDICTOR.CONFIG_FILE == ""
    frames = load_pipeline_config(folder / f"reconstructor_{segmenter}.yaml").PIPELINE
    assert Path(frames.PREDICTOR.CONFIG_FILE).is_file()
    assert frames.MASK_PREDICTOR.CONFIG_FILE == "" and frames.SEGMENTER == masks.SEGMENTER


def test_models_of_different_classes_are_not_combined(config: Path) -> None:
    path = config.with_name("mask_predictor.yaml")
    path.write_text(f"TAXONOMY:\n  CLASSES: ('cat', 'dog')\n{path.read_text()}")
    words = r"segmenter knows 48 object classes \(gray .*mask predictor 2 .*\(cat, dog\)"
    with pytest.raises(UserError, match=words):
        FutureMaskPredictor.from_config_file(config)
