"""The split of the lost Jaccard index, on a model that was not trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.config.loading import load_config
from vps_d2.d2.modeling import build_model
from vps_d2.data.synthetic import SyntheticOptions, render_masks, simulate
from vps_d2.data.video import write_video
from vps_d2.evaluation.error_split import CAUSES, find_lost, split_errors
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.errors import UserError
from vps_d2.modeling.object_dynamics.repairs import Repairs

CONFIG = ROOT / "configs" / "instant_test" / "object_dynamics_instant_test.yaml"


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return render_masks(simulate(4), SyntheticOptions())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_pipeline(tmp_path)
    torch.manual_seed(0)
    weights = tmp_path / "object_dynamics.pth"
    model = build_model(load_config(CONFIG, ["MODEL.DEVICE", "cpu"]))
    torch.save({"model": model.state_dict()}, weights)
    text = path.read_text().replace("VERSION: 2\n", "")
    path.write_text(
        f"{text}  MASK_PREDICTOR:\n    CONFIG_FILE: {CONFIG}\n    WEIGHTS: {weights}\nVERSION: 2\n"
    )
    return path


def test_the_parts_sum_to_what_was_lost(config, tiny_videos):
    split = split_errors(FutureMaskPredictor.from_config_file(config), tiny_videos / "val", 1)
    assert len(split.videos) == 1 and split.objects
    split = split.figures
    assert list(split["lost"]) == list(CAUSES)
    assert sum(split["lost"].values()) == pytest.approx(1 - split["jaccard"])
    assert sum(split["num_objects"].values()) == 3


def test_tool(config, tmp_path, capsys, masks):
    write_video(tmp_path / "val" / "video_0", np.zeros((22, 160, 240, 3), np.uint8), masks)
    arguments = ["--config-file", str(config), "--data", str(tmp_path / "val")]
    load_tool("split_errors").main(
        [*arguments, "--json", str(tmp_path / "lost.json"), "--page", str(tmp_path / "lost.html")]
    )
    assert "| motion after contact |" in capsys.readouterr().out
    lost = json.loads((tmp_path / "lost.json").read_text())["objects"]
    page = (tmp_path / "lost.html").read_text()
    assert lost and page.count("<td>" + lost[0]["cause"]) >= 1 and "https:" not in page
    assert page.count('data-video="0">video_0<') == len(lost)


def test_an_object_is_lost_to_the_cause_whose_repair_adds_most():
    truth = np.zeros((4, 6), np.uint8)
    truth[:2, :4] = 1  # in the wrong place until motion after contact is repaired
    truth[3] = 2  # never seen
    away, seen = np.zeros_like(truth), np.where(truth == 1, truth, 0)
    away[2, :] = 1
    away[3, 0] = 3  # invented by the segmenter
    moved = np.where(away == 3, 0, away)
    repairs = Repairs([away, moved, moved, seen, seen], truth, 1, 0, 1)
    found = {each.class_id: each.cause for each in find_lost("video_0", repairs, 4)}
    assert found == {1: CAUSES[2], 2: CAUSES[4], 3: CAUSES[0]}


def test_other_mask_predictors_are_refused(tmp_path, tiny_videos):
    pipeline = FutureMaskPredictor.from_config_file(write_pipeline(tmp_path))
    with pytest.raises(UserError, match="only works for ObjectDynamics"):
        split_errors(pipeline, tiny_videos / "val")


def test_a_folder_as_output_stops_before_the_work(config, tiny_videos, tmp_path, monkeypatch):
    tool = load_tool("split_errors")
    ran = "vps_d2.evaluation.error_split.split_errors"
    monkeypatch.setattr(ran, lambda *_: pytest.fail("it ran"))
    arguments = ["--config-file", str(config), "--data", str(tiny_videos / "val")]
    with pytest.raises(UserError, match="is a folder"):
        tool.main([*arguments, "--json", str(tmp_path)])


def test_masks_of_another_size_are_a_sentence(config, tmp_path, masks):
    folder = tmp_path / "val" / "video_3"
    write_video(folder, np.zeros((22, 32, 48, 3), np.uint8))
    np.save(folder / "mask.npy", masks)
    with pytest.raises(
        UserError, match=r"video_3/mask\.npy: masks have the size \(160, 240\), frames"
    ):
        split_errors(FutureMaskPredictor.from_config_file(config), tmp_path / "val")


def test_masks_that_end_too_soon_are_a_sentence(config, tmp_path, masks):
    folder = tmp_path / "val" / "video_3"
    write_video(folder, np.zeros((22, 160, 240, 3), np.uint8), masks)
    np.save(folder / "mask.npy", masks[:21])
    pipeline = FutureMaskPredictor.from_config_file(config)
    with pytest.raises(UserError, match=r"mask\.npy: mask with 21 frames, without frame 22; rep"):
        split_errors(pipeline, tmp_path / "val")
