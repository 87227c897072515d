"""STCN, against numbers of the public code, and the small network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.modeling.vos.made import make_clip
from vps_d2.modeling.vos.matching import best_matches, read_all, read_best, similarity
from vps_d2.modeling.vos.memory import MemoryBudget
from vps_d2.modeling.vos.network import (
    KEY_CHANNELS,
    STCNNetwork,
    aggregate,
    build_small_stcn,
    with_others,
)
from vps_d2.modeling.vos.propagation import Propagation
from vps_d2.modeling.vos.public_weights import to_our_names

PUBLIC = json.loads(Path(__file__).with_name("public_numbers.json").read_text())
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def chosen(values: torch.Tensor, count: int) -> np.ndarray:
    flat = values.flatten()
    return flat[torch.linspace(0, len(flat) - 1, count).long()].numpy()


@torch.inference_mode()
def test_features_affinity_and_values_are_those_of_the_public_code(stcn: STCNNetwork) -> None:
    frames, first = make_clip(4)
    pixels = (torch.from_numpy(frames[[0, 3]]).permute(0, 3, 1, 2) - MEAN) / STD
    features = stcn.encode_key(pixels)
    for name in ("key", "thin", "coarse", "middle", "fine"):
        found = chosen(getattr(features, name)[1:], 40)
        np.testing.assert_allclose(found, PUBLIC[name], atol=1e-4, err_msg=name)
    masks = torch.stack([torch.from_numpy(first == number).float() for number in (1, 2)])
    values = stcn.encode_value(pixels[:1], features.coarse[:1], with_others(masks))
    np.testing.assert_allclose(chosen(values, 40), PUBLIC["value"], atol=1e-4)
    keys = features.key.flatten(2)
    weights, _ = best_matches(similarity(keys[:1], keys[1:], KEY_CHANNELS)[0], top_k=20)
    np.testing.assert_allclose(chosen(weights.amax(1), 20), PUBLIC["affinity"], atol=1e-4)


def test_masks_are_those_of_the_public_code(stcn: STCNNetwork) -> None:
    frames, first = make_clip(7)
    video = Propagation(stcn, MEAN, STD, budget=MemoryBudget(), top_k=20, memory_every=5)
    video.remember(frames[0], first, permanent=True)
    for index in range(1, 7):
        found = video.segment(frames[index], [1, 2])
        if str(index) in PUBLIC["probabilities"]:
            expected = PUBLIC["probabilities"][str(index)]
            np.testing.assert_allclose(chosen(found, 40), expected, atol=1e-4, err_msg=str(index))
    assert video.memory.num_cells == 2 * 7 * 8  # frames 0 and 5


def test_public_checkpoints_load_by_their_own_names(stcn: STCNNetwork) -> None:
    public = dict(stcn.state_dict())
    assert {f"network.{name}" for name in public} == set(to_our_names(public, stcn))
    one_object = public["value_encoder.conv1.weight"][:, :4]
    public["value_encoder.conv1.weight"] = one_object
    padded = to_our_names(public, stcn)["network.value_encoder.conv1.weight"]
    assert torch.equal(padded[:, :4], one_object) and not padded[:, 4].any()
    ours = to_our_names(public, stcn)
    assert to_our_names(ours, stcn).keys() == ours.keys()


def test_the_key_encoder_can_begin_with_weights_of_imagenet(stcn: STCNNetwork) -> None:
    resnet = {
        "layer4.0.conv1.weight": torch.zeros(1),
        "conv1.weight": torch.ones(64, 3, 7, 7),
        "layer1.0.conv1.weight": torch.ones(64, 64, 1, 1),
        "fc.weight": torch.zeros(1),
    }
    found = to_our_names(resnet, stcn)
    assert set(found) == {
        "network.key_encoder.conv1.weight",
        "network.key_encoder.res2.0.conv1.weight",
    }
    assert found.keys() <= {f"network.{name}" for name in stcn.state_dict()}
    small = build_small_stcn()
    own = small.key_encoder.state_dict()
    # Older versions of MobileNetV2 number their layers differently, in the same order.
    other = {f"features.{index}.old": value for index, value in enumerate(own.values())}
    other["features.999.old"] = torch.zeros(1)
    found = to_our_names(other, small)
    assert list(found) == [f"network.key_encoder.{name}" for name in own]


def test_aggregate_keeps_order_and_sums_to_one() -> None:
    own = torch.tensor([0.9, 0.2, 0.0]).view(3, 1, 1)
    found = aggregate(own).softmax(0).flatten()
    assert found.sum().item() == pytest.approx(1)
    odds = torch.tensor([0.08 / 0.92, 9.0, 0.25, 0.0])
    torch.testing.assert_close(found, odds / odds.sum(), atol=1e-6, rtol=1e-5)
    assert aggregate(torch.zeros(0, 2, 2)).softmax(0).eq(1).all()


def test_reading_is_the_same_in_training_and_inference() -> None:
    generator = torch.Generator().manual_seed(0)
    keys, query = torch.randn(2, 1, 5, 12, generator=generator)
    values = torch.randn(2, 3, 12, generator=generator)
    likeness = similarity(keys, query, 5)
    expected = -(query[0, :, :, None] - keys[0, :, None]).pow(2).sum(0) / 5**0.5
    torch.testing.assert_close(likeness[0].softmax(1), expected.softmax(1))
    read = read_all(likeness, values, torch.zeros(2, dtype=torch.int64))
    weights, cells = best_matches(likeness[0], top_k=50)  # there are fewer
    torch.testing.assert_close(read[1].T, read_best(weights, cells, values[1].T.contiguous()))


@torch.inference_mode()
def test_small_network_gives_what_it_is_given_before_it_has_learned() -> None:
    torch.manual_seed(0)
    network = build_small_stcn().eval()
    pixels = torch.randn(1, 3, 64, 96)
    features = network.encode_key(pixels)
    assert features.key.shape == (1, KEY_CHANNELS + 2, 8, 12)
    assert features.middle.shape[-2:] == (16, 24) and features.fine.shape[-2:] == (32, 48)
    lengths = features.key[:, :KEY_CHANNELS].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 8.0))
    masks = torch.zeros(2, 64, 96)
    masks[0, :32, :48], masks[1, 32:] = 1, 1
    values = network.encode_value(pixels, features.coarse, with_others(masks))
    assert values.shape == (2, network.value_channels, 8, 12)
    assert values[0, -2, :4, :6].eq(1).all() and values[0, -1, 4:].eq(1).all()
    last = torch.cat([with_others(masks), torch.ones(2, 1, 64, 96)], 1)
    for given in (None, last):
        found = network.decode(values, features, given)[:, 0].sigmoid() > 0.5
        assert (found == (masks > 0.5)).float().mean() > 0.95


def test_places_far_apart_are_less_alike() -> None:
    torch.manual_seed(0)
    network = build_small_stcn().eval()
    with torch.inference_mode():
        keys = network.encode_key(torch.zeros(1, 3, 64, 64)).key.flatten(2)
        alike = similarity(keys, keys, KEY_CHANNELS)[0, 27]
    assert alike.argmax() == 27
    assert alike[27] > alike[28] > alike[30]
