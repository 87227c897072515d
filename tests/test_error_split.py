"""The split of the lost Jaccard index, on a model that was not trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.d2.modeling import build_model
from vps_d2.data.synthetic import SyntheticOptions, render_masks, simulate
from vps_d2.data.video import write_video
from vps_d2.engine.setup import load_config
from vps_d2.error_split import CAUSES, find_contacts, repair, split_errors
from vps_d2.errors import UserError
from vps_d2.modeling.object_dynamics.camera import GroundCamera
from vps_d2.pipeline import FutureMaskPredictor, LoadedModel

CONFIG = ROOT / "configs" / "instant_test" / "object_dynamics_instant_test.yaml"


@pytest.fixture(scope="module")
def predictor() -> LoadedModel:
    torch.manual_seed(0)
    cfg = load_config(CONFIG, ["MODEL.DEVICE", "cpu"])
    return LoadedModel(build_model(cfg).eval(), cfg)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return render_masks(simulate(4), SyntheticOptions())


def jaccard(mask: np.ndarray, truth: np.ndarray) -> float:
    found = (mask > 0) & (mask == truth)
    return found.sum() / ((mask > 0) | (truth > 0)).sum()


def test_every_repair_makes_it_better_and_only_the_unseen_is_missing_at_last(predictor, masks):
    repairs = repair(predictor, masks[:11], masks)
    assert (repairs.masks[0] == repairs.masks[1]).all()  # nothing was wrong with the input
    scores = [jaccard(mask, repairs.truth) for mask in repairs.masks]
    assert scores[1] <= scores[2] <= scores[3] and scores[3] > 0.6
    seen = np.isin(repairs.truth, np.unique(masks[:11]))
    assert (repairs.masks[4] == np.where(seen, repairs.truth, 0)).all()
    assert sum(repairs[2:]) == len(np.unique(repairs.truth)) - 1


def test_an_empty_video_lost_nothing(predictor):
    empty = np.zeros((22, 32, 48), np.uint8)
    repairs = repair(predictor, empty[:11], empty)
    assert not any(mask.any() for mask in repairs.masks) and repairs[2:] == (0, 0, 0)


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


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_pipeline(tmp_path)
    text = path.read_text().replace("VERSION: 2\n", "")
    path.write_text(f"{text}  MASK_PREDICTOR:\n    CONFIG_FILE: {CONFIG}\nVERSION: 2\n")
    return path


def test_the_parts_sum_to_what_was_lost(config, tiny_videos):
    split = split_errors(FutureMaskPredictor.from_config_file(config), tiny_videos / "val")
    assert list(split["lost"]) == list(CAUSES)
    assert sum(split["lost"].values()) == pytest.approx(1 - split["jaccard"])
    assert sum(split["num_objects"].values()) == 3


def test_tool(config, tmp_path, capsys, masks):
    write_video(tmp_path / "val" / "video_0", np.zeros((22, 160, 240, 3), np.uint8), masks)
    arguments = ["--config-file", str(config), "--data", str(tmp_path / "val")]
    load_tool("split_errors").main([*arguments, "--json", str(tmp_path / "lost.json")])
    assert "| motion after contact |" in capsys.readouterr().out
    assert (tmp_path / "lost.json").is_file()


def test_other_mask_predictors_are_refused(tmp_path, tiny_videos):
    pipeline = FutureMaskPredictor.from_config_file(write_pipeline(tmp_path))
    with pytest.raises(UserError, match="ObjectDynamics alone"):
        split_errors(pipeline, tiny_videos / "val")


def test_a_folder_as_output_stops_before_the_work(config, tiny_videos, tmp_path, monkeypatch):
    tool = load_tool("split_errors")
    monkeypatch.setattr(tool, "split_errors", lambda *_: pytest.fail("it ran"))
    arguments = ["--config-file", str(config), "--data", str(tiny_videos / "val")]
    with pytest.raises(UserError, match="is a folder"):
        tool.main([*arguments, "--json", str(tmp_path)])


def test_masks_of_another_size_are_a_sentence(config, tmp_path, masks):
    folder = tmp_path / "val" / "video_3"
    write_video(folder, np.zeros((22, 32, 48, 3), np.uint8))
    np.save(folder / "mask.npy", masks)
    with pytest.raises(UserError, match=r"video_3/mask\.npy: masks of \(160, 240\), frames of"):
        split_errors(FutureMaskPredictor.from_config_file(config), tmp_path / "val")
