from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vps_d2.config import get_vps_cfg
from vps_d2.d2.structures import Boxes, Instances
from vps_d2.d2.utils.events import EventStorage
from vps_d2.engine.hooks import PictureHook, draw_result


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
    picture = draw_result(sample, Copy().eval()([sample])[0])
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
    picture = draw_result({"image": torch.zeros(3, 4, 6, dtype=torch.uint8)}, output)
    assert picture.shape == ((8, 24, 3) if kind == "instances" else (4, 12, 3))


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
