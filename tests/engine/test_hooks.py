from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from tests.helpers import Loop, Scores
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.structures import Boxes, Instances
from vps_d2.d2.utils.events import EventStorage
from vps_d2.data.datasets import register_tracks
from vps_d2.data.tracks import TRACKS
from vps_d2.data.vps import TAXONOMY
from vps_d2.engine.hooks import BestCheckpointer, PictureHook, draw_result
from vps_d2.io.errors import UserError
from vps_d2.modeling.checkpoint import SafeCheckpointer


class Copy(nn.Module):
    def forward(self, batch: list[dict]) -> list[dict]:
        assert not self.training
        return [{"frames": video["frames"][-1:].float()} for video in batch]


def video(valid: bool) -> dict:
    frames = torch.full((2, 3, 4, 6), 9, dtype=torch.uint8)
    return {
        "frames": frames,
        "target_frames": frames[:1] + 1,
        "target_valid": torch.tensor([valid]),
    }


@pytest.mark.parametrize(("valid", "columns"), [(True, 18), (False, 12)])
def test_pictures_of_videos(valid: bool, columns: int) -> None:
    sample = video(valid)
    picture = draw_result(sample, Copy().eval()([sample])[0], TAXONOMY)
    assert picture.shape == (4, columns, 3)
    assert picture[0, :, 0].tolist() == [9] * 12 + [10] * (columns - 12)


@pytest.mark.parametrize("kind", ["instances", "sem_seg"])
def test_pictures_of_masks(kind: str) -> None:
    nothing = Instances((4, 6))
    nothing.pred_masks = torch.zeros(0, 4, 6, dtype=torch.bool)
    nothing.pred_classes = torch.zeros(0, dtype=torch.int64)
    nothing.pred_boxes = Boxes(torch.zeros(0, 4))
    nothing.scores = torch.zeros(0)
    output = {"instances": nothing} if kind == "instances" else {"sem_seg": torch.zeros(49, 4, 6)}
    picture = draw_result({"image": torch.zeros(3, 4, 6, dtype=torch.uint8)}, output, TAXONOMY)
    assert picture.shape == ((8, 24, 3) if kind == "instances" else (4, 12, 3))


@pytest.mark.parametrize("count", [0, 2])
def test_pictures_of_clips_show_the_middle_frame(count: int) -> None:
    images = torch.zeros(3, 3, 8, 12, dtype=torch.uint8)
    images[1] = 90
    found = Instances((4, 6))
    found.pred_masks = torch.zeros(count, 4, 6, dtype=torch.bool)
    found.pred_masks[:, 2:, 3:] = True
    found.pred_classes = torch.arange(count)
    found.scores = torch.ones(count)
    sample = {"images": images, "height": 4, "width": 6}
    picture = draw_result(sample, {"instances": [found] * 3}, TAXONOMY)
    assert picture.shape == (8, 24, 3)
    assert count or (picture[:, :12] == 90).all()  # else there is text
    assert picture[-1, -1].any() == bool(count) and not picture[0, -1].any()


def clip(count: int, last_known: int) -> dict:
    maps = torch.zeros(count, 4, 6, dtype=torch.uint8)
    maps[: last_known + 1, :, :2] = 1
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 6)
    return {"images": images, "object_maps": maps}


def test_pictures_of_followed_objects_show_the_last_frame_of_which_they_are_known() -> None:
    sample = clip(4, last_known=2)
    found = torch.zeros_like(sample["object_maps"])
    found[2, :, 4:] = 2
    picture = draw_result(sample, {"object_maps": found}, TAXONOMY)
    assert picture.shape == (4, 18, 3)
    given, predicted, truth = picture[0, :6], picture[0, 6:12], picture[0, 12:]
    assert (given[2:] == 0).all() and given[1, 0] > 50  # red, the first color of DAVIS
    assert (predicted[:4] == 2).all() and predicted[5, 1] > 50  # green
    assert (truth[2:] == 2).all() and truth[1, 0] > 50


def test_of_a_long_video_only_the_first_frames_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vps_d2.engine.hooks.load_records", lambda *_: [{"video_id": 0}])
    monkeypatch.setattr("vps_d2.engine.hooks.build_mapper", lambda *_, **__: lambda _: clip(30, 3))
    hook = PictureHook(get_vps_cfg(), Copy())
    hook.cfg.DATASETS.TRAIN = ("any",)
    (sample,) = hook._load_samples()
    assert len(sample["images"]) == len(sample["object_maps"]) == 10


def test_pictures_show_a_true_mask_in_detectron2s_form(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.tile(np.uint8([1, 0, 255]), (4, 2)))
    sample = {
        "image": torch.zeros(3, 4, 6, dtype=torch.uint8),
        "sem_seg_file_name": str(tmp_path / "mask.png"),
    }
    picture = draw_result(sample, {"sem_seg": torch.zeros(49, 4, 6)}, TAXONOMY)
    assert picture[0, 12:15].tolist() == [[147, 147, 147], [0, 0, 0], [255, 255, 255]]
    with pytest.raises(UserError, match=r"mask of the wrong shape \(4, 6\), frame \(8, 6\)"):
        draw_result(sample, {"sem_seg": torch.zeros(49, 8, 6)}, TAXONOMY)


def test_pictures_of_masks_that_are_predicted_from_frames() -> None:
    sample = {**video(True), "masks": torch.ones(2, 4, 6, dtype=torch.uint8)}
    picture = draw_result(sample, {"mask": torch.zeros(4, 6, dtype=torch.uint8)}, TAXONOMY)
    assert picture[0, :, 0].tolist() == [9] * 6 + [0] * 6


def test_pictures_come_in_their_turn() -> None:
    cfg = get_vps_cfg()
    cfg.TEST.PICTURE_PERIOD = 3
    model = Copy().train()
    hook = PictureHook(cfg, model)
    hook.samples = [video(True), video(False)]
    made = []
    with EventStorage() as storage:
        for step in range(8):
            hook.trainer = SimpleNamespace(iter=step, max_iter=8)
            hook.after_step()
            if storage._vis_data:
                made.append((step, len(storage._vis_data)))
            storage.clear_images()
    assert made == [(2, 2), (5, 2), (7, 2)]
    assert model.training


def test_tracks_without_a_test_set_have_no_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "tracks_00000.npy", np.zeros(3, TRACKS))
    register_tracks("tracks_of_test_hooks", tmp_path)
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER, cfg.DATASETS.TRAIN = "TracksMapper", ("tracks_of_test_hooks",)
    hook = PictureHook(cfg, Copy())
    hook.trainer = SimpleNamespace(iter=0, max_iter=1)
    with EventStorage() as storage:
        hook.after_step()
        assert not storage._vis_data
    assert "No pictures are made: TracksMapper finds no" in caplog.text


def run(
    folder: Path, scores: list[float], *, mode: str = "max", start: int = 0, end: int = 8
) -> list[int]:
    """Train with these scores, one every two iterations, and return when the best was saved."""
    loop = Loop()
    saved: list[int] = []

    class Checkpointer(SafeCheckpointer):
        def save_untagged(self, name: str, **kwargs: object) -> None:
            super().save_untagged(name, **kwargs)
            saved.append(kwargs["iteration"])

    best = BestCheckpointer(2, Checkpointer(nn.Linear(1, 1), str(folder)), "masks/jaccard", mode)
    loop.register_hooks([engine_module("engine.hooks").EvalHook(2, Scores(loop, scores)), best])
    loop.train(start, end)
    return saved


@pytest.mark.parametrize(("mode", "expected"), [("max", [1, 5, 8]), ("min", [1, 3])])
def test_best_checkpoint(mode: str, expected: list[int], tmp_path: Path) -> None:
    assert run(tmp_path, [0.2, 0.1, 0.3, 0.4], mode=mode) == expected
    assert torch.load(tmp_path / "model_best.pth")["iteration"] == expected[-1]


def test_a_resumed_run_knows_its_best_and_a_new_one_begins_anew(tmp_path: Path) -> None:
    assert run(tmp_path, [0.2, 0.9], end=4) == [1, 4]
    assert run(tmp_path, [0.3, 0.95], start=4) == [8]
    assert run(tmp_path, [0.3, 0.2], end=4) == [1]


def test_a_run_does_not_go_on_from_its_best(tmp_path: Path) -> None:
    run(tmp_path, [0.2, 0.9], end=4)
    assert not (tmp_path / "last_checkpoint").exists()


def test_score_that_is_no_number_is_not_the_best(tmp_path: Path) -> None:
    assert run(tmp_path, [float("nan"), 0.5, 0.4, 0.3]) == [3]


def test_unknown_score_and_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpointer = SafeCheckpointer(nn.Linear(1, 1), str(tmp_path))
    loop = Loop()
    loop.register_hooks([BestCheckpointer(1, checkpointer, "no/such/score")])
    loop.train(0, 2)
    assert "no/such/score" in caplog.text and not any(tmp_path.iterdir())
    with pytest.raises(UserError, match=r'TEST\.BEST_MODE must be "max" or "min", not "other"'):
        BestCheckpointer(1, checkpointer, "mse", "other")
