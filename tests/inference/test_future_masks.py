"""The pipeline on stub models: shapes, batches, seen classes, paths."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from tests.pipeline_stubs import write_pipeline
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.d2.structures import Instances
from vps_d2.data.vps import TAXONOMY
from vps_d2.inference.future_masks import FutureMaskPredictor, output_to_mask
from vps_d2.inference.models import LoadedModel
from vps_d2.io.errors import UserError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_pipeline(tmp_path)


@pytest.fixture
def frames() -> np.ndarray:
    frames = np.full((3, 11, 16, 24, 3), 100, np.uint8)
    frames[1, :, 4:8, 4:8, 0] = 200  # object 1, seen in the input
    frames[2, -1, 4:8, 4:8, 1] = 145  # object 2, which only the prediction shows
    return frames


def test_frames_in_masks_out(config: Path, frames: np.ndarray) -> None:
    pipeline = FutureMaskPredictor.from_config_file(config, ["PIPELINE.BATCH_SIZE", "2"])
    results = pipeline(frames)
    assert len(results) == 3
    assert results[0].frames.shape == (11, 16, 24, 3) and results[0].frames.dtype == np.uint8
    assert (results[0].frames[-1] == 111).all()
    assert results[0].captions() == [f"predicted {number}" for number in range(12, 23)]
    assert not results[0].mask.any()
    assert (np.argwhere(results[1].mask == 1)[[0, -1]] == [[4, 4], [7, 7]]).all()
    channels_first = pipeline(np.moveaxis(frames, -1, 2))
    for one, other in zip(results, channels_first, strict=True):
        assert (one.mask == other.mask).all() and (one.frames == other.frames).all()


@pytest.mark.parametrize("number", ["0", "15"])
def test_the_mask_is_the_same_without_the_frames(
    config: Path, frames: np.ndarray, number: str
) -> None:
    opts = ["PIPELINE.TARGET_FRAME", number, "PIPELINE.SEEN_CLASSES_ONLY", "False"]
    frames[:, -1, 0, :, 0] = 145  # and brighter than 150 from the sixth predicted frame on
    pipeline = FutureMaskPredictor.from_config_file(config, opts)
    assert pipeline(frames)[0].mask.any() == (number == "0")
    for one, other in zip(pipeline(frames), pipeline(frames, want_frames=False), strict=True):
        assert (one.mask == other.mask).all()
        assert other.frames.shape == (0, 16, 24, 3) and not other.captions()


def test_classes_never_seen_are_left_out(config: Path, frames: np.ndarray) -> None:
    assert not FutureMaskPredictor.from_config_file(config)(frames)[2].mask.any()
    opts = ["PIPELINE.SEEN_CLASSES_ONLY", "False"]
    assert (FutureMaskPredictor.from_config_file(config, opts)(frames)[2].mask == 2).sum() == 16


def test_without_a_predictor_the_last_frame_is_segmented(
    tmp_path: Path, frames: np.ndarray
) -> None:
    pipeline = FutureMaskPredictor.from_config_file(write_pipeline(tmp_path, predictor=""))
    result = pipeline(frames)[1]
    assert (result.frames == frames[1, -1:]).all() and result.captions() == ["frame 11 again"]
    assert (result.mask == pipeline.segment(frames[1:2, -1])[0]).all() and result.mask.any()


def write_predictor(config: Path, num_input: int, num_target: int, gap: int = 0) -> None:
    text = (config.parent / "predictor.yaml").read_text().replace("VERSION: 2\n", "")
    (config.parent / "predictor.yaml").write_text(
        f"{text}INPUT:\n  NUM_INPUT_FRAMES: {num_input}\n  NUM_TARGET_FRAMES: {num_target}\n"
        f"  TARGET_GAP: {gap}\nVERSION: 2\n"
    )


def test_frames_are_named_for_what_they_are(config: Path, frames: np.ndarray) -> None:
    write_predictor(config, 5, 11, gap=2)
    prediction = FutureMaskPredictor.from_config_file(config)(frames)[0]
    assert prediction.captions() == [f"predicted {number}" for number in range(14, 25)]
    assert prediction.mask_number == 24 and prediction.num_known == 11
    opts = ["INPUT.NUM_KNOWN_FRAMES", "11", "PIPELINE.TARGET_FRAME", "15"]
    pipeline = FutureMaskPredictor.from_config_file(config, opts)
    prediction = pipeline(frames)[2]
    assert prediction.mask_number == 15
    # The second of the predicted frames is brighter by 2 than the last given one.
    assert (prediction.mask == pipeline.segment(frames[2:, -1] + 2, [np.array([0])])[0]).all()
    assert pipeline.describe() == {
        "classes": list(TAXONOMY.thing_classes),
        "num_known": 11,
        "frames": list(range(14, 25)),
        "mask_frame": 15,
        "copied": False,
    }


@pytest.mark.parametrize(("number", "known"), [("22", "11"), ("12", "8"), ("9", "11")])
def test_a_frame_that_is_not_predicted_is_refused(config: Path, number: str, known: str) -> None:
    write_predictor(config, 5, 3)
    opts = ["INPUT.NUM_KNOWN_FRAMES", known, "PIPELINE.TARGET_FRAME", number]
    with pytest.raises(UserError, match=f"first {known} frames the model predicts .*, not frame"):
        FutureMaskPredictor.from_config_file(config, opts)


def test_a_predictor_that_gives_other_than_it_says_is_refused(
    config: Path, frames: np.ndarray
) -> None:
    write_predictor(config, 5, 3)
    with pytest.raises(
        UserError, match=r"returned 11 frames, but INPUT\.NUM_TARGET_FRAMES .* is 3"
    ):
        FutureMaskPredictor.from_config_file(config)(frames)


def test_models_of_another_task_and_without_weights_are_refused(config: Path) -> None:
    with pytest.raises(UserError, match="StubSegmenter, whose task is segmentation, not frames"):
        opts = ["PIPELINE.PREDICTOR.CONFIG_FILE", str(config.parent / "segmenter.yaml")]
        FutureMaskPredictor.from_config_file(config, opts)
    segmenter = config.parent / "segmenter.yaml"
    segmenter.write_text(segmenter.read_text().replace("stub.pth", "").replace("WEIGHTS", "#"))
    with pytest.raises(UserError, match=r"segmenter\.yaml names no weights"):
        FutureMaskPredictor.from_config_file(config)


def test_an_empty_batch_gives_nothing(config: Path, frames: np.ndarray) -> None:
    pipeline = FutureMaskPredictor.from_config_file(config)
    assert pipeline(frames[:0]) == []
    assert pipeline.segment(frames[:0, 0]).shape == (0, 16, 24)


def test_wrong_frames_are_a_sentence(config: Path, frames: np.ndarray) -> None:
    pipeline = FutureMaskPredictor.from_config_file(config)
    with pytest.raises(UserError, match="frames must be uint8"):
        pipeline(frames.astype(np.float32))
    with pytest.raises(UserError, match="needs 11 frames"):
        pipeline(frames[:, :10])


def test_instances_of_barred_classes_are_not_painted() -> None:
    instances = Instances((4, 4))
    instances.pred_masks = torch.ones(2, 4, 4, dtype=torch.bool)
    instances.pred_masks[1, 2:] = False
    instances.pred_classes = torch.tensor([4, 6])
    instances.scores = torch.tensor([0.9, 0.8])
    output = {"instances": instances}
    assert (output_to_mask(output, 0.5) == 5).all()
    assert (output_to_mask(output, 0.5, np.array([0, 7]))[:2] == 7).all()
    assert not output_to_mask(output, 0.5, np.array([0])).any()


def test_paths_are_taken_from_the_file_that_names_them() -> None:
    cfg = load_pipeline_config(ROOT / "configs" / "pipeline" / "simvp_mask_rcnn.yaml")
    assert Path(cfg.PIPELINE.PREDICTOR.CONFIG_FILE).is_file()
    assert Path(cfg.PIPELINE.SEGMENTER.CONFIG_FILE).is_file()
    assert str(ROOT / "vps_d2" / "weights" / "simvp.pth") == cfg.PIPELINE.PREDICTOR.WEIGHTS
    copy = load_pipeline_config(ROOT / "configs" / "pipeline" / "copy_mask_rcnn.yaml")
    assert copy.PIPELINE.PREDICTOR.CONFIG_FILE == ""
    assert copy.PIPELINE.SEGMENTER == cfg.PIPELINE.SEGMENTER


def test_missing_weights_and_wrong_keys_are_sentences(config: Path, tmp_path: Path) -> None:
    weights = ["PIPELINE.SEGMENTER.WEIGHTS", str(tmp_path / "none.pth")]
    with pytest.raises(UserError, match=r"none\.pth"):
        FutureMaskPredictor.from_config_file(config, weights)
    with pytest.raises(UserError, match="KEY VALUE"):
        load_pipeline_config(config, ["PIPELINE.NONE", "1"])


def models_of(pipeline: FutureMaskPredictor) -> list[LoadedModel]:
    assert pipeline.predictor is not None
    return [pipeline.predictor, pipeline.segmenter]


def test_overrides_reach_every_model(config: Path) -> None:
    opts = ["SOLVER.AMP.ENABLED", "False", "MODEL.CHANNELS_LAST", "False"]
    pipeline = FutureMaskPredictor.from_config_file(config, opts)
    for model in models_of(pipeline):
        assert not model.cfg.SOLVER.AMP.ENABLED
        assert model.cfg.MODEL.CHANNELS_LAST is False


def test_keys_in_the_file_of_a_pipeline_reach_every_model(config: Path) -> None:
    segmenter = config.with_name("segmenter.yaml")
    segmenter.write_text(segmenter.read_text() + "SOLVER:\n  AMP:\n    DTYPE: bfloat16\n")
    # "auto" is the default, but what is said for the pipeline still wins.
    config.write_text(config.read_text() + "SOLVER:\n  AMP:\n    DTYPE: auto\nSEED: 7\n")
    for model in models_of(FutureMaskPredictor.from_config_file(config)):
        assert model.cfg.SOLVER.AMP.DTYPE == "auto" and model.cfg.SEED == 7
    overridden = FutureMaskPredictor.from_config_file(config, ["SOLVER.AMP.DTYPE", "float32"])
    for model in models_of(overridden):
        assert model.cfg.SOLVER.AMP.DTYPE == "float32"


def test_the_keys_of_a_pipeline_are_not_those_of_its_models(config: Path) -> None:
    opts = ["INPUT.NUM_KNOWN_FRAMES", "12", "PIPELINE.SCORE_THRESH", "0.75"]
    for model in models_of(FutureMaskPredictor.from_config_file(config, opts)):
        assert model.cfg.INPUT.NUM_KNOWN_FRAMES == 0
        assert model.cfg.PIPELINE.SCORE_THRESH == 0.5


@pytest.mark.parametrize("key", ["MODEL.WEIGHTS", "MODEL.META_ARCHITECTURE"])
def test_a_key_of_one_model_is_refused_for_several(config: Path, key: str) -> None:
    with pytest.raises(UserError, match=rf"{key} is set for .*PIPELINE\.SEGMENTER\.WEIGHTS"):
        load_pipeline_config(config, [key, "unet.pth"])
