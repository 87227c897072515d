"""Scribble-to-mask networks: the public one, against numbers of the public code, and the small."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.modeling.s2m.made import make_input
from tests.modeling.vos.made import make_weights
from vps_d2.modeling.s2m.deeplab import DeepLabS2M
from vps_d2.modeling.s2m.public_weights import to_our_names
from vps_d2.modeling.s2m.small import SmallS2M, distance_to_strokes

PUBLIC = json.loads(Path(__file__).with_name("public_numbers.json").read_text())


@pytest.fixture(scope="module")
def deeplab() -> DeepLabS2M:
    network = DeepLabS2M().eval()
    network.load_state_dict(make_weights(network.state_dict()))
    return network


def chosen(values: torch.Tensor, count: int) -> np.ndarray:
    flat = values.flatten()
    return flat[torch.linspace(0, len(flat) - 1, count).long()].numpy()


@torch.inference_mode()
def test_features_and_masks_are_those_of_the_public_code(deeplab: DeepLabS2M) -> None:
    pixels, guides = make_input()
    fine, coarse = deeplab.backbone(torch.cat([pixels, guides], 1))
    pyramid = deeplab.classifier.aspp(coarse)
    logits = deeplab.decode(deeplab.encode(pixels), guides)
    for name, found in (("low_level", fine), ("out", coarse), ("pyramid", pyramid)):
        np.testing.assert_allclose(chosen(found, 30), PUBLIC[name], atol=1e-4, err_msg=name)
    assert logits.shape == (1, 1, 96, 128)
    np.testing.assert_allclose(chosen(logits, 40), PUBLIC["logits"], atol=1e-4)


def test_public_checkpoints_load_by_their_own_names(deeplab: DeepLabS2M) -> None:
    public = deeplab.state_dict()
    ours = to_our_names({f"module.{name}": value for name, value in public.items()}, deeplab)
    assert set(ours) == {f"network.{name}" for name in public}
    assert to_our_names(ours, deeplab).keys() == ours.keys()
    other = {"model.weight": torch.zeros(1)}
    assert to_our_names(other, deeplab) is other


def test_the_small_encoder_can_begin_with_weights_of_imagenet() -> None:
    network = SmallS2M()
    own = network.encoder.state_dict()
    other = {f"features.{index}.old": value for index, value in enumerate(own.values())}
    other["classifier.1.weight"] = torch.zeros(1)
    found = to_our_names(other, network)
    assert list(found) == [f"network.encoder.{name}" for name in own]


def test_cells_that_look_like_those_under_strokes_are_near() -> None:
    looks = torch.zeros(2, 1, 4, 6)
    looks[:, :, :, 3:] = 1
    strokes = torch.zeros(2, 4, 6)
    strokes[0, 1, 1] = 0.5
    found = distance_to_strokes(looks, strokes)
    assert found.shape == (2, 2, 4, 6)
    torch.testing.assert_close(found[0, 0, :, :3], torch.zeros(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[0, 0, :, 3:], torch.ones(4, 3), atol=1e-3, rtol=0)
    assert found[1, 0].eq(4).all()  # there are no strokes


@torch.inference_mode()
def test_the_small_network_follows_strokes_and_runs_again_on_the_same_features() -> None:
    torch.manual_seed(0)
    network = SmallS2M().eval()
    pixels, guides = make_input(64, 96)
    features = network.encode(pixels)
    logits = network.decode(features, guides)
    assert logits.shape == (1, 1, 64, 96) and logits.isfinite().all()
    assert torch.equal(logits, network.decode(features, guides))
    for channel in range(3):
        other = guides.clone()
        other[:, channel] = 0
        assert not torch.allclose(logits, network.decode(features, other), atol=1e-4), channel
    two = network.decode(network.encode(pixels.repeat(2, 1, 1, 1)), guides.repeat(2, 1, 1, 1))
    torch.testing.assert_close(two[1:], logits, atol=1e-4, rtol=1e-4)
