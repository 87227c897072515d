"""STCN behind Detectron2's model interface."""

from typing import Any

import pytest
import torch

from tests.helpers import ROOT
from tests.modeling.vos.made import make_clip
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.loading import load_config
from vps_d2.d2.utils.events import EventStorage
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.vos.losses import bootstrapped_cross_entropy, hard_share


def build(**keys: Any) -> Any:
    torch.manual_seed(0)
    opts = ["MODEL.VOS.NETWORK", "small", "MODEL.VOS.LOSS.DICE", "1.0", "MODEL.DEVICE", "cpu"]
    for name, value in keys.items():
        opts += [f"MODEL.VOS.{name}", value]
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = "STCN"
    cfg.merge_from_list(opts)
    return build_model(cfg)


def clip(length: int = 3, objects: int = 2) -> dict[str, Any]:
    frames, first = make_clip(length, 48, 64)
    first = first * (first <= objects)
    maps = torch.stack([torch.from_numpy(first).roll(2 * index, 1) for index in range(length)])
    return {"images": torch.from_numpy(frames).permute(0, 3, 1, 2), "object_maps": maps}


def losses(model: Any, clips: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    with EventStorage():
        found: dict[str, torch.Tensor] = model(clips)
    return found


def test_learns() -> None:
    model = build(UNKNOWN_LAST=0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(6):
        total = sum(losses(model, [clip(), clip(objects=1)]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.9 * totals[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_clip_without_objects_teaches_the_background() -> None:
    model = build().train()
    alone = losses(model, [clip(objects=0)])
    assert all(value.isfinite() for value in alone.values())
    both = losses(model, [clip(objects=0), clip(objects=2)])
    sum(both.values()).backward()


def test_frozen_keys_and_statistics_stay_as_they_are() -> None:
    model = build(FREEZE_KEYS=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sum(losses(model, [clip()]).values()).backward()
    assert all(p.grad is None for p in model.network.key_encoder.parameters())
    assert model.network.key_proj.key_proj.weight.grad is not None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_last_mask_is_not_followed_over_long_steps() -> None:
    model = build(UNKNOWN_LAST=0.0).train()
    near, far = clip(), clip()
    near["frame_indices"], far["frame_indices"] = [0, 2, 4], [0, 20, 40]
    unknown = build(UNKNOWN_LAST=1.0).train()
    assert losses(model, [near]) == losses(model, [clip()])
    assert losses(model, [far]) == losses(unknown, [clip()]) != losses(model, [near])


def test_follows_objects_of_a_video() -> None:
    model = build().eval()
    with torch.no_grad():  # untrained, its keys find nothing, but the last mask can be followed
        model.network.decoder.shares.copy_(torch.tensor([0.0, 1.0]))
    video = clip(4)
    found = model([{**video, "object_maps": video["object_maps"][:1]}])[0]["object_maps"]
    assert found.shape == (4, 48, 64) and found.dtype == torch.uint8
    assert torch.equal(found[0], video["object_maps"][0])
    for number in (1, 2):
        there, wanted = found[3] == number, video["object_maps"][3] == number
        assert (there & wanted).sum() > 0.5 * (there | wanted).sum()


def test_the_hardest_pixels_count() -> None:
    assert hard_share(5, 10, 20, 0.2) == 1 and hard_share(30, 10, 20, 0.2) == 0.2
    assert hard_share(15, 10, 20, 0.2) == pytest.approx(0.6)
    logits = torch.zeros(2, 1, 4)
    logits[0] = torch.tensor([5.0, 5.0, 5.0, -5.0])
    labels = torch.zeros(1, 4, dtype=torch.int64)
    hardest = bootstrapped_cross_entropy(logits, labels, 0.25)
    assert hardest.item() == pytest.approx(5.0067, abs=1e-3)
    assert bootstrapped_cross_entropy(logits, labels, 1.0) < 0.3 * hardest


def test_another_network_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"MODEL.VOS.NETWORK must be one of stcn, small"):
        build(NETWORK="large")


@pytest.mark.parametrize("name", ["stcn_stage0", "stcn_stage1", "stcn_stage3", "small_vos"])
def test_shipped_configurations_are_of_this_architecture(name: str) -> None:
    cfg = load_config(ROOT / "configs" / "vos" / f"{name}.yaml")
    assert cfg.MODEL.META_ARCHITECTURE == "STCN" and cfg.INPUT.MAPPER == "VOSClipMapper"
