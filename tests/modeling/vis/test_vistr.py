"""The architecture VisTR: clips and videos in, objects with tracks out; its weights."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.d2.structures import BitMasks, Boxes, Instances
from vps_d2.io.checkpoints import read_checkpoint
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.vis.resnet import ResNetBody
from vps_d2.modeling.vis.vistr import VisTR, make_targets, select_tubes

CONFIGS = ROOT / "configs"
HEIGHT, WIDTH = 40, 56
NUM_FRAMES = 3


def load(*options: Any, name: str = "instant_test/vistr_instant_test") -> CfgNode:
    device = ("MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "False")
    return load_config(CONFIGS / f"{name}.yaml", [*device, *map(str, options)])


def build(*options: Any) -> VisTR:
    torch.manual_seed(0)
    model = build_model(load(*options))
    assert isinstance(model, VisTR)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> VisTR:
    model = build()
    last = model.network.insmask_head[-1]
    assert isinstance(last, nn.Conv3d) and last.bias is not None
    nn.init.ones_(last.weight)
    nn.init.constant_(last.bias, -0.5)  # so that masks are neither empty nor full
    return model


def make_video(length: int, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(length)
    frames = torch.randint(0, 256, (length, 3, height, width), generator=generator)
    return {"images": frames.to(torch.uint8), "height": height, "width": width, "video_id": 1}


def make_clip(count: int, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    clip = make_video(NUM_FRAMES, height, width)
    instances = []
    for time in range(NUM_FRAMES):
        masks = torch.zeros(count, height, width, dtype=torch.bool)
        boxes = torch.zeros(count, 4)
        for number in range(count):
            if time or number:  # the first object is not in the first frame
                left = 8 * number + time
                masks[number, 10:20, left : left + 6] = True
                boxes[number] = torch.tensor([left, 10, left + 6, 20])
        instances.append(
            Instances(
                (height, width),
                gt_classes=torch.arange(count) % 48,
                gt_ids=torch.arange(count),
                gt_masks=BitMasks(masks),
                gt_boxes=Boxes(boxes),
            )
        )
    return {**clip, "instances": instances}


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8])
def test_videos_of_any_length(length: int, model: VisTR) -> None:
    video = make_video(length)
    (output,) = model([{**video, "height": 80, "width": 111}])
    frames = output["instances"]
    assert len(frames) == length and any(len(each) for each in frames)
    for each in frames:
        assert each.image_size == (80, 111)
        assert each.pred_masks.dtype == torch.bool and each.pred_masks.shape[1:] == (80, 111)
        assert each.pred_masks.flatten(1).any(1).all()
        assert each.pred_classes.dtype == each.track_ids.dtype == torch.int64
        assert each.scores.dtype == torch.float32
        assert len(set(each.track_ids.tolist())) == len(each)
        assert ((each.pred_classes >= 0) & (each.pred_classes < 48)).all()
    streamed = list(model.stream(iter(video["images"]), (80, 111)))
    for one, other in zip(frames, streamed, strict=True):
        assert torch.equal(one.pred_masks, other.pred_masks)
        assert torch.equal(one.track_ids, other.track_ids)


def test_a_short_clip_is_repeated(model: VisTR) -> None:
    frames = make_video(2)["images"]
    whole = model.segment_clip(frames[[0, 1, 0]])
    for one, other in zip(model.segment_clip(frames), whole, strict=False):
        assert torch.equal(one.pred_masks, other.pred_masks)


def test_batches(model: VisTR) -> None:
    videos = [make_video(3), make_video(4, 33, 48)]
    for video, output in zip(videos, model(videos), strict=True):
        (alone,) = model([video])
        for one, other in zip(output["instances"], alone["instances"], strict=True):
            assert torch.equal(one.pred_masks, other.pred_masks)
    assert model([]) == []


def test_a_tube_has_one_class_and_one_score() -> None:
    logits = torch.full((3, 2, 6), -50.0)
    for time, label in enumerate((2, 4, 4)):
        logits[time, 0, label] = 50  # class 4 wins in two of three frames
    logits[0, 1, [1, 5]] = 0  # half of the probability is for no object
    logits[1:, 1, 5] = 50
    masks = torch.full((3, 2, 4, 4), -1.0)
    masks[:, 0, :2] = masks[:, 1, 2:] = 1.0
    masks[2, 0] = -1.0
    first, second, third = select_tubes(logits, masks, (8, 12))
    assert first.pred_classes.tolist() == [3, 0] and first.track_ids.tolist() == [0, 1]
    assert first.scores.tolist() == pytest.approx([1, 0.5 / 3])
    assert first.pred_masks.shape == (2, 8, 12) and first.pred_masks[0, :3].all()
    # Where no class is likely, or the mask is empty, the object is not there.
    assert second.track_ids.tolist() == [0] and len(third) == 0


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_losses_reach_all_weights(count: int) -> None:
    model = build().train()
    losses = model([make_clip(count), make_clip(2, 33, 40)])
    names = {"loss_ce", "loss_bbox", "loss_giou", "loss_mask", "loss_dice"}
    assert set(losses) == names | {f"{name}_0" for name in names - {"loss_mask", "loss_dice"}}
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        stem = ("conv1", "bn1", "conv_offset")
        if not parameter.requires_grad:
            assert any(part in name for part in stem), name
            continue
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_no_gradient_is_out_of_proportion_at_the_beginning() -> None:
    """The first decoder layer normalizes queries that are still zero."""
    model = build().train()
    sum(model([make_clip(3)]).values()).backward()
    norms = [float(each.grad.norm()) for each in model.parameters() if each.grad is not None]
    assert max(norms) < 100


def test_a_clip_of_another_length_is_a_sentence(model: VisTR) -> None:
    clip = {**make_clip(1), "images": make_video(4)["images"]}
    with pytest.raises(UserError, match=r"from clips of 3 frames, not 4; set INPUT.CLIP.NUM_FRAM"):
        model.compute_losses([clip])


def test_targets_are_shares_of_the_frame_before_padding() -> None:
    targets = make_targets(make_clip(2)["instances"], (50, 60), torch.device("cpu"))
    assert targets.labels.tolist() == [1, 2] and targets.masks.shape == (3, 2, 50, 60)
    assert targets.visible.tolist() == [[False, True], [True, True], [True, True]]
    assert targets.boxes[0, 1].tolist() == pytest.approx([11 / 56, 15 / 40, 6 / 56, 10 / 40])


def test_passes_must_overlap_less_than_their_length() -> None:
    with pytest.raises(UserError, match="PASS_OVERLAP is 3, but a pass has 3 frames; lower it"):
        build("MODEL.VISTR.PASS_OVERLAP", 3)


@pytest.mark.parametrize("name", ["vistr_R50", "vistr_R101", "vistr_small_vps"])
def test_shipped_configurations(name: str) -> None:
    cfg = load(name=f"vistr/{name}")
    with torch.device("meta"):
        model = VisTR(cfg)
    count = {"vistr_R50": 503, "vistr_R101": 758, "vistr_small_vps": 389}[name]
    assert len(model.state_dict()) == count
    published = model.state_dict()["vistr.class_embed.weight"].shape
    assert published == ((50, 192) if "small" in name else (42, 384))


def test_a_public_checkpoint_loads(tmp_path: Path) -> None:
    """It has the network's own names, and the arguments of the training in a Namespace."""
    path, given = tmp_path / "vistr.pth", build()
    arguments = argparse.Namespace(lr=1e-4, backbone="resnet50", masks=True, lr_drop=[1, 2])
    torch.save({"model": given.network.state_dict(), "args": arguments, "epoch": 17}, path)
    torch.manual_seed(1)
    model = build_model(load("SEED", 5))
    assert SafeCheckpointer(model, strict=True).load(str(path))["args"] == arguments
    for name, value in given.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


class Stranger(argparse.Namespace):
    pass


def test_no_other_class_is_read(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "args": Stranger(a=1)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth would run code .*Stranger"):
        read_checkpoint(str(tmp_path / "a.pth"))
    # Nor what hides in the arguments.
    hidden = argparse.Namespace(a=Stranger)
    torch.save({"model": {"a": torch.ones(1)}, "args": hidden}, tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"b\.pth would run code .*Stranger"):
        read_checkpoint(str(tmp_path / "b.pth"))
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"model": {}, "args": argparse.Namespace()}))
    with pytest.raises(UserError, match="is a pickle that asks for"):
        read_checkpoint(str(tmp_path / "c.pkl"))


def test_queries_of_another_length_are_interpolated(tmp_path: Path) -> None:
    path, given = tmp_path / "long.pth", build("INPUT.CLIP.NUM_FRAMES", 5)
    torch.save({"model": given.state_dict()}, path)
    model = build()
    SafeCheckpointer(model).load(str(path))
    codes = [each.network.vistr.query_embed.weight.unflatten(0, (-1, 8)) for each in (given, model)]
    assert torch.allclose(codes[1], codes[0][::2], atol=1e-6)
    with pytest.raises(UserError, match=r"query_embed\.weight \(of shape \(40, 48\), not \(24, 48"):
        SafeCheckpointer(build(), strict=True).load(str(path))


@torch.no_grad()
@pytest.mark.parametrize("source", ["detector", "torchvision"])
def test_starts_from_the_weights_of_a_backbone(source: str, tmp_path: Path) -> None:
    size = ("MODEL.VISTR.BACKBONE.DEPTH", 50, "MODEL.VISTR.BACKBONE.WIDTH", 32)
    frames = torch.randn(1, 3, 64, 96)
    if source == "detector":
        path = "package://mask_rcnn.pth"
        cfg = load(name="mask_rcnn/mask_rcnn_R50w32_FPN_frames")
        detector = build_model(cfg).eval()
        SafeCheckpointer(detector, strict=True).load(path)
        wanted = list(detector.get_submodule("backbone.bottom_up")(frames).values())
    else:
        body = ResNetBody(depth=50, width=32)
        for value in body.state_dict().values():
            value.copy_(value + 0.02 * torch.rand_like(value))
        path = str(tmp_path / "resnet.pth")
        torch.save({**body.state_dict(), "fc.weight": torch.ones(3, 3)}, path)
        wanted = body(frames)
    model = build(*size)
    SafeCheckpointer(model).load(path)
    for one, other in zip(model.network.body(frames), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-3, rtol=1e-3)
    with pytest.raises(UserError, match=r"does not hold all weights|has no weight of this model"):
        SafeCheckpointer(build(*size), strict=True).load(path)


def test_names_of_weights_are_those_of_the_network(model: VisTR) -> None:
    assert list(model.state_dict()) == list(model.network.state_dict())
    wrapper = nn.ModuleDict({"module": model})
    assert all(name.startswith("module.") for name in wrapper.state_dict())
