"""Perceptual scores of frames; the network of LPIPS has random weights here."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from vps_d2.evaluation import perceptual
from vps_d2.evaluation.metrics import FrameErrors
from vps_d2.io.errors import UserError


@pytest.fixture
def frames() -> torch.Tensor:
    torch.manual_seed(0)
    small = torch.rand(2, 3, 8, 12) * 255
    return torch.nn.functional.interpolate(small, scale_factor=5, mode="bilinear")


def test_flip_is_a_mean_over_frames_and_sees_more_where_more_is_wrong(
    frames: torch.Tensor,
) -> None:
    pytest.importorskip("flip_evaluator", reason="flip-evaluator is not installed")
    errors = FrameErrors(["flip"])
    errors.update(frames, frames)
    assert errors.compute()["flip"] == 0
    near, far = (perceptual.flip(frames + step, frames) for step in (4, 40))
    assert near.shape == (2,) and 0 < near.max() < far.min() < 1
    errors.update(frames + 4, frames, torch.tensor([True, False]))
    assert errors.count == 3
    assert errors.compute()["flip"] == pytest.approx(near[0].item() / 3, rel=1e-5)
    outside = perceptual.flip(frames + 1000, frames)
    assert torch.equal(outside, perceptual.flip(torch.full_like(frames, 255), frames))


def test_flip_that_is_not_installed_is_a_sentence(
    frames: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    with pytest.raises(UserError, match=r"install it with pip install \"vps_d2\[perceptual\]\""):
        FrameErrors(["flip"]).update(frames, frames)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of downloads, without a network."""

    def fail(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    perceptual._lpips_network.cache_clear()
    yield tmp_path / "checkpoints"
    perceptual._lpips_network.cache_clear()


def test_lpips_takes_the_network_that_was_downloaded(frames: torch.Tensor, hub: Path) -> None:
    hub.mkdir()
    url = torchvision.models.AlexNet_Weights.DEFAULT.url
    state = torchvision.models.alexnet(weights=None).state_dict()
    torch.save(state, hub / url.rpartition("/")[2])
    same, other = (perceptual.lpips(frames + step, frames) for step in (0, 40))
    assert same.tolist() == [0, 0] and other.shape == (2,) and (other > 0).all()
    with pytest.raises(UserError, match="40x30 pixels are too small for LPIPS, which needs 31"):
        perceptual.lpips(frames[:, :, :30, :40], frames[:, :, :30, :40])


def test_lpips_without_a_network_is_a_sentence(frames: torch.Tensor, hub: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded \(no network\); put its file"):
        FrameErrors(["lpips"]).update(frames, frames)
