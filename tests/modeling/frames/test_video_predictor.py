import pytest
import torch
from torch import nn

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.modeling import build_model
from vps_d2.io.errors import UserError
from vps_d2.modeling import VideoPredictor, inference_autocast

MEAN, STD = (100.0, 110.0, 120.0), (10.0, 20.0, 40.0)


class Brighter(nn.Module):
    """Predicts the last frame, brighter by a learned amount, ``T_out`` times."""

    def __init__(self, num_output_frames: int = 2) -> None:
        super().__init__()
        self.num_output_frames = num_output_frames
        self.amount = nn.Parameter(torch.ones(()))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, -1:].repeat(1, self.num_output_frames, 1, 1, 1) + self.amount


def predictor() -> VideoPredictor:
    return VideoPredictor(network=Brighter(), pixel_mean=MEAN, pixel_std=STD)


def video(height: int = 8, width: int = 12) -> dict:
    frames = torch.randint(0, 256, (5, 3, height, width), dtype=torch.uint8)
    frames[2:] = frames[2]
    return {
        "frames": frames[:3],
        "target_frames": frames[3:],
        "target_valid": torch.tensor([True, True]),
    }


def test_loss_is_the_mean_squared_error_of_normalized_values() -> None:
    losses = predictor().train()([video(), video()])
    assert set(losses) == {"loss_mse"}
    assert losses["loss_mse"].item() == pytest.approx(1, abs=1e-4)


def test_targets_that_are_not_valid_do_not_count() -> None:
    model = predictor().train()
    damaged = video()
    damaged["target_frames"][1] = 0
    damaged["target_valid"][1] = False
    loss = model([damaged, video(), {"frames": video()["frames"]}])["loss_mse"]
    assert loss.item() == pytest.approx(1, abs=1e-4)


def test_no_valid_target_is_no_loss_but_has_a_gradient() -> None:
    model = predictor().train()
    loss = model([{"frames": video()["frames"]}])["loss_mse"]
    loss.backward()
    assert loss.item() == 0
    assert model.network.amount.grad.item() == 0


def test_frames_come_out_in_8_bit_range() -> None:
    model = predictor().eval()
    sample = video()
    (output,) = model([sample])
    frames = output["frames"]
    assert frames.dtype == torch.float32 and frames.shape == (2, 3, 8, 12)
    expected = sample["frames"][-1] + torch.tensor(STD).reshape(3, 1, 1)
    torch.testing.assert_close(frames[0], expected.clamp(0, 255), atol=1e-3, rtol=0)
    assert model([]) == []


def test_one_frame_of_a_model_that_can_leave_out_the_others() -> None:
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = "SimVP", "cpu"
    cfg.MODEL.SIMVP.HIDDEN_SPATIAL, cfg.MODEL.SIMVP.HIDDEN_TEMPORAL = 4, 8
    cfg.INPUT.NUM_INPUT_FRAMES, cfg.INPUT.NUM_TARGET_FRAMES = 3, 2
    model = build_model(cfg).eval()
    sample = video()
    with torch.no_grad():
        every = model([sample, sample])[0]["frames"]
        (one, _) = model([{**sample, "target_index": 1}] * 2)
        mixed = model([{**sample, "target_index": 1}, sample])[0]["frames"]
    torch.testing.assert_close(one["frames"], every[1:])
    assert mixed.shape == every.shape
    # Others give all frames.
    assert predictor().eval()([{**sample, "target_index": 1}])[0]["frames"].shape == (2, 3, 8, 12)


def test_sizes_do_not_mix() -> None:
    with pytest.raises(UserError, match="12x8 and 12x10"):
        predictor().eval()([video(8), video(10)])


@pytest.mark.parametrize("architecture", ["SimVP", "ConvLSTM"])
@pytest.mark.parametrize("amp", [True, False])
def test_architectures_from_configuration(architecture: str, amp: bool) -> None:
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = architecture
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.SIMVP.HIDDEN_SPATIAL = 4
    cfg.MODEL.SIMVP.HIDDEN_TEMPORAL = 8
    cfg.MODEL.CONVLSTM.HIDDEN_CHANNELS = (4,)
    cfg.INPUT.NUM_INPUT_FRAMES, cfg.INPUT.NUM_TARGET_FRAMES = 3, 2
    cfg.SOLVER.AMP.ENABLED = amp
    model = build_model(cfg)
    with inference_autocast(cfg):
        loss = model.train()([video(13, 19)])["loss_mse"]
        frames = model.eval()([video(13, 19)])[0]["frames"]
    assert torch.isfinite(loss) and loss.dtype == torch.float32
    assert frames.shape == (2, 3, 13, 19) and frames.dtype == torch.float32


def test_unknown_names_are_named() -> None:
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = "SimVP"
    cfg.MODEL.SIMVP.TRANSLATOR = "gsta"
    with pytest.raises(UserError, match="must be one of IncepU, gSTA, not"):
        build_model(cfg)
    cfg.SOLVER.AMP.DTYPE = "int8"
    with pytest.raises(UserError, match="must be one of auto"):
        inference_autocast(cfg)
