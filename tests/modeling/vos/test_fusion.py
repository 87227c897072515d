"""Difference-aware fusion, against numbers of the public code, and the small network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.helpers import ROOT
from tests.modeling.vos.made import make_clip, make_weights
from vps_d2.config.loading import load_config
from vps_d2.d2.utils.events import EventStorage
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.vos.fusion_network import (
    FusionNetwork,
    build_fusion,
    build_small_fusion,
    carry_over,
    changes,
)
from vps_d2.modeling.vos.network import STCNNetwork, aggregate

PUBLIC = json.loads(Path(__file__).with_name("public_numbers.json").read_text())["fusion"]
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def soft_masks(seed: int) -> torch.Tensor:
    small = np.random.default_rng(seed).random((1, 2, 7, 8), np.float32)
    return F.interpolate(torch.from_numpy(small), size=(112, 128), mode="bilinear")[0] / 2


def check(name: str, values: torch.Tensor) -> None:
    flat = values.flatten()
    found = flat[torch.linspace(0, len(flat) - 1, 60).long()]
    np.testing.assert_allclose(found.numpy(), PUBLIC[name], atol=1e-4, err_msg=name)


@torch.inference_mode()
def test_attention_and_masks_are_those_of_the_public_code(stcn: STCNNetwork) -> None:
    network = build_fusion().eval()
    network.load_state_dict(make_weights(network.state_dict()))
    frames, first = make_clip(7)
    pixels = (torch.from_numpy(frames[[6, 2]]).permute(0, 3, 1, 2) - MEAN) / STD
    keys = 8 * stcn.encode_key(pixels).key.flatten(2)  # or all cells would be about as alike
    after = torch.stack([torch.from_numpy(first == number).float() for number in (1, 2)])
    changed = changes(soft_masks(1), after, 16)
    attention = carry_over(changed, keys[0], keys[1], (7, 8), 16)
    check("attention", attention)
    masks = torch.stack([soft_masks(2), soft_masks(3)], 1)
    distances = torch.tensor([[0.25, 0.75]]).expand(2, -1)
    own = network(pixels[1:].expand(2, -1, -1, -1), masks, attention, distances)
    check("own", own)
    check("fused", aggregate(own).softmax(0))


def test_what_was_not_changed_carries_nothing_over() -> None:
    before = torch.zeros(2, 32, 48)
    before[0, :16], after = 1, torch.zeros(2, 32, 48)
    after[0, :16] = after[1, 16:, :16] = 1
    changed = changes(before, after, 16)
    assert changed.tolist() == [[[0] * 6] * 2, [[0, 0, 0, 1, 0, 0], [0] * 6]]
    taken = changes(after, before, 16)
    assert torch.equal(taken, changed.flip(1))
    keys = 100 * torch.eye(6)
    carried = carry_over(changed, keys, keys.flip(1), (2, 3), 16)
    assert carried.shape == (2, 2, 32, 48) and not carried[0].any() and not carried[1, 1].any()
    # The third cell looks like the fourth one of the corrected frame.
    assert carried[1, 0, 0, 47] == carried.max() > 0.99


def test_the_small_network_stays_between_the_two_masks() -> None:
    torch.manual_seed(0)
    network: FusionNetwork = build_small_fusion().eval()
    masks = torch.rand(3, 2, 16, 24)
    with torch.no_grad():
        found = network(
            torch.randn(3, 3, 16, 24), masks, torch.rand(3, 2, 16, 24), torch.rand(3, 2)
        )
    assert (found >= masks.amin(1)).all() and (found <= masks.amax(1)).all()
    assert ((found - masks[:, 1]).abs() < (found - masks[:, 0]).abs()).all()  # untrained
    assert sum(each.numel() for each in network.parameters()) * 2 < 100_000  # bytes, as shipped


def build(*opts: Any, name: str = "small_fusion") -> Any:
    torch.manual_seed(0)
    path = ROOT / "configs" / "vos" / f"{name}.yaml"
    return build_model(load_config(path, ["MODEL.DEVICE", "cpu", *opts]))


def sample(objects: int = 2) -> dict[str, Any]:
    """The earlier mask is right in the upper half, the later one in the lower half."""
    frames, first = make_clip(2, 48, 64)
    true = np.stack([first == number for number in range(1, objects + 1)])
    upper = np.arange(48)[:, None] < 24
    parts = [true & upper | ~true & ~upper, true & ~upper | ~true & upper, true]
    return {
        "images": torch.from_numpy(frames).permute(0, 3, 1, 2),
        "masks": torch.from_numpy(np.stack(parts, 1).astype(np.float32)),
        "touched": torch.from_numpy(true.astype(np.float32)),
        "object_map": torch.from_numpy(first * (first <= objects)),
        "distances": torch.tensor([0.5, 0.5]),
    }


def test_learns_which_mask_is_right_where() -> None:
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    before = None
    for _ in range(15):
        with EventStorage():
            (loss,) = model([sample(), sample(1)]).values()
        before = before or float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5 * before
    found = model.eval()([sample(1), sample(2)])
    assert found[0]["probabilities"].shape == (2, 48, 64)
    odd = sample(1)
    odd = {k: v[..., :45, :61] if v.ndim > 1 else v for k, v in odd.items()}
    assert model([odd])[0]["probabilities"].shape == (2, 45, 61)  # parts of cells
    torch.testing.assert_close(found[1]["probabilities"].sum(0), torch.ones(48, 64))


def test_the_propagation_network_is_neither_trained_nor_saved() -> None:
    model = build().train()
    with EventStorage():
        model([sample()])["loss_cross_entropy"].backward()
    assert all(name.startswith("network.") for name in model.state_dict())
    assert all(each.grad is not None for each in model.parameters())
    assert not model.propagation.keys(torch.rand(1, 3, 64, 64, requires_grad=True)).requires_grad
    bare = build("MODEL.FUSION.PROPAGATION", "").train()
    with pytest.raises(UserError, match=r"MODEL.FUSION.PROPAGATION is empty"), EventStorage():
        bare([sample()])


@pytest.mark.parametrize("name", ["fusion_stage0", "fusion_stage1"])
def test_public_checkpoints_load_by_their_own_names(name: str) -> None:
    model = build(name=name)
    public = {f"module.{key}": value for key, value in build_fusion().state_dict().items()}
    assert public.keys() == {f"module.{key}" for key in model.network.state_dict()}
    model.load_state_dict(model.adapt_weights(public, True))
    assert torch.equal(model.network.final_conv.weight, public["module.final_conv.weight"])
    assert model.adapt_weights(model.state_dict(), True).keys() == model.state_dict().keys()


def test_another_network_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"MODEL.FUSION.NETWORK must be one of fusion, small"):
        build("MODEL.FUSION.NETWORK", "large")
