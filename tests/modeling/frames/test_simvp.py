import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from vps_d2.modeling.frames.simvp import SimVPNetwork, pad_to_multiple


def small(**arguments) -> SimVPNetwork:
    defaults = {
        "num_input_frames": 3,
        "num_output_frames": 3,
        "hidden_spatial": 4,
        "hidden_temporal": 8,
        "num_temporal_layers": 2,
    }
    torch.manual_seed(0)
    return SimVPNetwork(**{**defaults, **arguments})


def count_flops(model: nn.Module, frames: torch.Tensor) -> float:
    analysis = FlopCountAnalysis(model.eval(), frames)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return analysis.total()


# OpenSTL's table for Moving MNIST, 10 -> 10 frames.
@pytest.mark.parametrize(
    ("translator", "parameters", "flops"), [("gSTA", 46.8e6, 16.5e9), ("IncepU", 58.0e6, 19.4e9)]
)
def test_published_size(translator: str, parameters: float, flops: float) -> None:
    model = SimVPNetwork(
        num_input_frames=10, num_output_frames=10, channels=1, translator=translator
    )
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, abs=0.06e6)
    assert count_flops(model, torch.zeros(1, 10, 1, 64, 64)) == pytest.approx(flops, abs=0.05e9)


@pytest.mark.parametrize("translator", ["gSTA", "IncepU"])
@pytest.mark.parametrize(("frames_in", "frames_out"), [(3, 3), (3, 1), (2, 5)])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_any_frames_and_sizes(
    translator: str, frames_in: int, frames_out: int, patch_size: int
) -> None:
    model = small(
        num_input_frames=frames_in,
        num_output_frames=frames_out,
        translator=translator,
        patch_size=patch_size,
        channels_last=True,
    )
    for height, width in ((16, 24), (13, 19)):
        predicted = model(torch.randn(2, frames_in, 3, height, width))
        assert predicted.shape == (2, frames_out, 3, height, width)
        predicted.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_equal_frames_add_nothing_to_the_published_network() -> None:
    assert isinstance(small().skip_over_time, nn.Identity)


@pytest.mark.parametrize("frames_out", [3, 5])
def test_residual_starts_as_copy(frames_out: int) -> None:
    frames = torch.randn(2, 3, 3, 13, 19)
    predicted = small(num_output_frames=frames_out, residual=True)(frames)
    torch.testing.assert_close(predicted, frames[:, -1:].expand_as(predicted))


def test_channels_last_changes_no_value() -> None:
    frames = torch.randn(2, 3, 3, 16, 24)
    plain, last = small().eval(), small(channels_last=True).eval()
    last.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain(frames), last(frames), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("translator", ["gSTA", "IncepU"])
def test_bfloat16_is_near_float32(translator: str) -> None:
    model = small(channels_last=True, translator=translator).eval()
    frames = torch.randn(2, 3, 3, 16, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(frames)
    assert rough.dtype == torch.bfloat16
    exact = model(frames)
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 3 frames, got 4"):
        small()(torch.zeros(1, 4, 3, 16, 16))
    with pytest.raises(ValueError, match="at least 2 spatial layers"):
        small(num_spatial_layers=1)
    for translator in ("gSTA", "IncepU"):
        with pytest.raises(ValueError, match="at least 2 layers"):
            small(num_temporal_layers=1, translator=translator)


def test_padding_repeats_the_edge() -> None:
    frames = torch.arange(6.0).reshape(1, 1, 2, 3)
    padded = pad_to_multiple(frames, 4)
    assert padded.shape == (1, 1, 4, 4)
    assert padded[0, 0, :, 3].tolist() == [2, 5, 5, 5]
    assert torch.equal(pad_to_multiple(frames, 1), frames)


@pytest.mark.parametrize("frames_out", [3, 5])
def test_one_frame_alone(frames_out: int) -> None:
    torch.manual_seed(0)
    model = small(num_input_frames=3, num_output_frames=frames_out).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.1)
    frames = torch.randn(2, 3, 3, 14, 18, dtype=torch.float64)
    with torch.no_grad():
        every = model(frames)
        assert every.std(1).max() > 1e-3  # they differ
        for index in range(frames_out):
            torch.testing.assert_close(model.predict_one(frames, index), every[:, index, None])
