"""Scribble-to-mask behind Detectron2's model interface."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.loading import load_config
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model


def build(**keys: Any) -> Any:
    torch.manual_seed(0)
    opts = ["MODEL.S2M.NETWORK", "small", "MODEL.DEVICE", "cpu"]
    for name, value in keys.items():
        opts += [f"MODEL.S2M.{name}", value]
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = "S2M"
    cfg.merge_from_list(opts)
    return build_model(cfg)


def picture(height: int = 64, width: int = 64) -> dict[str, Any]:
    """A bright square on a dark background, with a stroke on each."""
    empty = torch.zeros(height, width, dtype=torch.bool)
    names = ("object_mask", "mask", "positive", "negative")
    inputs: dict[str, Any] = {name: empty.clone() for name in names}
    inputs["object_mask"][16:48, 16:40] = True
    inputs["positive"][30:34, 24:28] = True
    inputs["negative"][2:6, 50:60] = True
    inputs["image"] = (inputs["object_mask"] * 180 + 40).to(torch.uint8).expand(3, -1, -1)
    return inputs


def test_learns() -> None:
    model = build(ROUNDS=2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(8):
        losses = model([picture(), picture()])
        assert set(losses) == {"loss_cross_entropy", "loss_dice"}
        optimizer.zero_grad()
        total = sum(losses.values())
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_every_round_after_the_first_adds_strokes_and_the_last_mask() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    model = build(ROUNDS=3).train()
    seen = []
    decode = model.network.decode
    model.network.decode = lambda features, guides: seen.append(guides) or decode(features, guides)
    model([picture()])
    assert len(seen) == 3 and not seen[0][0, 0].any()
    strokes = [guides[0, 1:].sum().item() for guides in seen]
    assert strokes[0] < strokes[2] and strokes == sorted(strokes)  # one may cover another
    truth = picture()["object_mask"]
    assert not (seen[2][0, 1].bool() & ~truth).any() and not (seen[2][0, 2].bool() & truth).any()


def test_the_frozen_encoder_and_statistics_stay_as_they_are() -> None:
    model = build(FREEZE_ENCODER=True, ROUNDS=1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sum(model([picture()]).values()).backward()
    assert all(parameter.grad is None for parameter in model.network.encoder.parameters())
    assert model.network.out.weight.grad is not None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@torch.inference_mode()
def test_pictures_of_any_size_are_segmented() -> None:
    model = build().eval()
    found = model([picture(50, 70), picture()])
    assert [tuple(each["probability"].shape) for each in found] == [(50, 70), (64, 64)]
    assert all(((each["probability"] >= 0) & (each["probability"] <= 1)).all() for each in found)
    assert model([]) == []


def test_pictures_of_several_sizes_are_no_batch() -> None:
    with pytest.raises(UserError, match="pictures of 70x50 and 64x64 pixels are in one batch"):
        build().train()([picture(), picture(50, 70)])


def test_another_network_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"MODEL.S2M.NETWORK must be one of deeplab, small"):
        build(NETWORK="large")


@pytest.mark.parametrize("name", ["s2m", "small_s2m"])
def test_shipped_configurations_are_of_this_architecture(name: str) -> None:
    cfg = load_config(ROOT / "configs" / "vos" / f"{name}.yaml")
    assert cfg.MODEL.META_ARCHITECTURE == "S2M" and cfg.INPUT.MAPPER == "StrokeMapper"
