from collections.abc import Iterator

import pytest
import torch

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.modeling import build_model
from vps_d2.io.errors import UserError
from vps_d2.modeling import ConvLSTMReconstructor, ReconstructorNetwork


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from more threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(**arguments) -> ReconstructorNetwork:
    torch.manual_seed(0)
    defaults = {"encoder_channels": (8, 16), "hidden_channels": (16,), "kernel_size": 3}
    return ReconstructorNetwork(**{**defaults, **arguments})


@pytest.mark.parametrize("size", [(16, 24), (13, 19)])
@pytest.mark.parametrize("encoder_channels", [(4,), (4, 8, 8)])
def test_any_number_of_frames_and_any_size(
    size: tuple[int, int], encoder_channels: tuple[int, ...]
) -> None:
    network = small(encoder_channels=encoder_channels, hidden_channels=(4, 8), channels_last=True)
    for num_frames in (1, 5):
        predicted = network(torch.randn(2, num_frames, 3, *size))
        assert predicted.shape == (2, 1, 3, *size)
    predicted.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_order_of_frames_matters() -> None:
    frames = torch.randn(1, 4, 3, 8, 8)
    network = small()
    assert not torch.allclose(network(frames), network(frames.flip(1)))


def test_residual_adds_to_the_last_frame() -> None:
    frames = torch.randn(1, 4, 3, 8, 8)
    change = small()(frames)
    torch.testing.assert_close(small(residual=True)(frames), frames[:, -1:] + change)


def test_learns_where_a_square_goes() -> None:
    frames = torch.zeros(4, 12, 3, 16, 24)
    for clip, row in enumerate((0, 4, 8, 12)):
        for index in range(12):
            frames[clip, index, :, row : row + 4, index : index + 6] = 1.0
    network = small()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        loss = (network(frames[:, :5]) - frames[:, -1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    copy = (frames[:, 4:5] - frames[:, -1:]).square().mean()
    assert loss < 0.25 * copy


def test_architecture_by_configuration() -> None:
    cfg = get_vps_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "ConvLSTMReconstructor"
    with pytest.raises(UserError, match="set it to 1"):
        build_model(cfg)
    cfg.INPUT.NUM_TARGET_FRAMES = 1
    model = build_model(cfg).eval()
    assert isinstance(model, ConvLSTMReconstructor)
    frames = torch.randint(0, 256, (11, 3, 16, 24), dtype=torch.uint8)
    with torch.no_grad():
        (output,) = model([{"frames": frames}])
    assert output["frames"].shape == (1, 3, 16, 24)


def test_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="a convolution and a layer"):
        small(hidden_channels=())
