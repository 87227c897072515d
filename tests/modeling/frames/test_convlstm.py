import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from vps_d2.modeling.frames.convlstm import ConvLSTMNetwork


def small(**arguments) -> ConvLSTMNetwork:
    torch.manual_seed(0)
    return ConvLSTMNetwork(
        **{"num_output_frames": 3, "hidden_channels": (6, 4), "kernel_size": 3, **arguments}
    )


def test_published_size() -> None:
    model = ConvLSTMNetwork(num_output_frames=10, channels=1).eval()
    analysis = FlopCountAnalysis(model, torch.zeros(1, 10, 1, 64, 64))
    analysis.unsupported_ops_warnings(False)
    assert analysis.total() == pytest.approx(56.8e9, abs=0.05e9)
    # OpenSTL's 15.0 M count two convolutions in each cell that it never calls.
    unused = 4 * (2 * 128 * 128 * 5**2 + 2 * 128 * 128)
    total = sum(p.numel() for p in model.parameters()) + unused
    assert total == pytest.approx(15.0e6, abs=0.1e6)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("frames_in", "frames_out"), [(3, 3), (1, 4), (4, 1)])
def test_any_frames_and_sizes(frames_in: int, frames_out: int, channels_last: bool) -> None:
    model = small(num_output_frames=frames_out, channels_last=channels_last)
    for height, width in ((16, 24), (13, 19)):
        predicted = model(torch.randn(2, frames_in, 3, height, width))
        assert predicted.shape == (2, frames_out, 3, height, width)
    predicted.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_rolls_out_its_own_frames() -> None:
    frames = torch.randn(1, 2, 3, 8, 8)
    both = small(num_output_frames=2)(frames)
    one = small(num_output_frames=1)
    first = one(frames)
    torch.testing.assert_close(both[:, :1], first)
    torch.testing.assert_close(both[:, 1:], one(torch.cat([frames, first], dim=1)))


def test_bfloat16_is_near_float32() -> None:
    model = small(channels_last=True).eval()
    frames = torch.randn(2, 3, 3, 16, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(frames)
    exact = model(frames)
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
