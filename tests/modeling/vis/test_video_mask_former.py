import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.structures import BitMasks, Boxes, Instances
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model, check_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.tasks import model_task
from vps_d2.modeling.vis.masked_decoder import Prediction
from vps_d2.modeling.vis.video_mask_former import VideoMaskFormer

CONFIG = str(ROOT / "configs" / "instant_test" / "video_mask_former_instant_test.yaml")
HEIGHT, WIDTH = 40, 56  # padded to 64x64


def load(*opts: Any) -> Any:
    return load_config(CONFIG, ["MODEL.DEVICE", "cpu", *opts])


def build(*opts: Any) -> VideoMaskFormer:
    torch.manual_seed(0)
    model = build_model(load(*opts))
    assert isinstance(model, VideoMaskFormer)
    return model


def make_clip(num_frames: int = 2, num_objects: int = 2, hidden: bool = True) -> dict[str, Any]:
    """A clip of squares; the last one is hidden in the last frame."""
    rng = torch.Generator().manual_seed(num_objects)
    frames = []
    for index in range(num_frames):
        masks = torch.zeros(num_objects, HEIGHT, WIDTH, dtype=torch.bool)
        for number, mask in enumerate(masks):
            mask[4 + index : 16 + index, 4 + 20 * number : 18 + 20 * number] = True
        if hidden and num_objects and index == num_frames - 1:
            masks[-1] = False
        instances = Instances((HEIGHT, WIDTH))
        instances.gt_classes = 3 + torch.arange(num_objects)
        instances.gt_ids = torch.arange(num_objects)
        instances.gt_masks = BitMasks(masks)
        instances.gt_boxes = Boxes(torch.zeros(num_objects, 4))
        frames.append(instances)
    shape = (num_frames, 3, HEIGHT, WIDTH)
    images = torch.randint(100, 110, shape, generator=rng, dtype=torch.uint8)
    for image, instances in zip(images, frames, strict=True):
        for number, mask in enumerate(instances.gt_masks.tensor):
            image[number % 3, mask] = 250
    return {"images": images, "instances": frames, "height": HEIGHT, "width": WIDTH}


@pytest.mark.parametrize("counts", [(2, 1), (0, 2), (0, 0)])
def test_every_weight_learns(counts: tuple[int, int]) -> None:
    model = build("MODEL.BACKBONE.FREEZE_AT", 0)
    losses = model([make_clip(num_objects=count) for count in counts])
    layers = ["", "_0"]
    expected = {f"loss_{name}{layer}" for name in ("ce", "mask", "dice") for layer in layers}
    assert losses.keys() == expected | {"loss_reid", "loss_aux_reid"}
    sum(losses.values(), torch.zeros(())).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    if any(counts):
        head = model.sem_seg_head.predictor.mask_embed.layers[0]
        assert head.weight.grad.abs().sum() > 0


def test_clips_of_different_lengths() -> None:
    losses = build()([make_clip(3), make_clip(1)])
    assert all(torch.isfinite(value) for value in losses.values())
    with pytest.raises(UserError, match="clips of 24x40 and 56x40 pixels are in one batch"):
        small = make_clip()
        small["images"] = small["images"][..., :24]
        build()([make_clip(), small])


class Pools(nn.Module):
    """A backbone that learns in seconds."""

    def __init__(self) -> None:
        super().__init__()
        channels = {"res2": 64, "res3": 128, "res4": 256, "res5": 512}
        self.convs = nn.ModuleDict(
            {name: nn.Conv2d(3, count, kernel_size=1) for name, count in channels.items()}
        )

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        strides = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}
        return {
            name: self.convs[name](nn.functional.avg_pool2d(x, stride))
            for name, stride in strides.items()
        }


def test_a_clip_is_learned() -> None:
    model = build()
    model.backbone = Pools()
    clip = make_clip(hidden=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        loss = sum(model([clip]).values(), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        (output,) = model.eval()([clip])
    for found, truth in zip(output["instances"], clip["instances"], strict=True):
        best = found[:2]
        assert sorted(best.pred_classes.tolist()) == [3, 4]
        masks = truth.gt_masks.tensor[best.pred_classes - 3]
        union = (best.pred_masks | masks).flatten(1).sum(1)
        assert ((best.pred_masks & masks).flatten(1).sum(1) / union > 0.5).all()
    first, second = (frame[:2] for frame in output["instances"])
    cosine = (
        nn.functional.normalize(first.embeddings) @ nn.functional.normalize(second.embeddings).T
    )
    same = first.pred_classes[:, None] == second.pred_classes
    assert cosine[same].min() > cosine[~same].max()


def test_output_has_the_size_asked_for() -> None:
    model = build("MODEL.MASK_FORMER.TEST.SCORE_THRESH", 0.0).eval()
    clip = {**make_clip(5), "height": 80, "width": 112}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        one, other = model([clip, {"images": clip["images"][:1]}])
    assert len(one["instances"]) == 5 and len(other["instances"]) == 1
    for instances, size in ((one["instances"][4], (80, 112)), (other["instances"][0], (40, 56))):
        count = len(instances)
        assert 0 < count <= 8
        assert instances.pred_masks.shape == (count, *size)
        assert instances.pred_masks.dtype == torch.bool
        assert instances.pred_classes.dtype == torch.int64
        assert instances.scores.dtype == instances.embeddings.dtype == torch.float32
        assert instances.embeddings.shape == (count, 32)
        assert (instances.scores.diff() <= 0).all()


def test_frames_are_segmented_alone() -> None:
    model = build("MODEL.MASK_FORMER.TEST.SCORE_THRESH", 0.0).eval()
    images = make_clip(3)["images"]
    with torch.no_grad():
        (whole,) = model([{"images": images}])
        model.frames_per_batch = 1
        (alone,) = model([{"images": images}])
    for one, other in zip(whole["instances"], alone["instances"], strict=True):
        assert torch.equal(one.pred_classes, other.pred_classes)
        torch.testing.assert_close(one.scores, other.scores)
        torch.testing.assert_close(one.embeddings, other.embeddings)


class Say(nn.Module):
    """Predicts what it is given."""

    def __init__(self, logits: torch.Tensor, masks: torch.Tensor) -> None:
        super().__init__()
        self.prediction = Prediction(logits[None], masks[None], torch.eye(len(logits))[None])

    def forward(self, features: Any) -> list[Prediction]:
        return [self.prediction]


def test_an_object_is_found_once() -> None:
    model = build().eval()
    logits = torch.full((5, 49), -20.0)
    logits[0, 7] = 5.0  # sure
    logits[1, 7], logits[1, 9] = 4.0, 3.0  # the same object, less sure
    logits[2, 9], logits[2, 7] = 2.0, 1.9  # another one that could be of two classes
    logits[3, 1] = 3.0  # nowhere
    logits[4, 48] = 3.0  # nothing
    masks = torch.full((5, 16, 16), -8.0)
    masks[0, 2:6, 2:6] = masks[1, 2:6, 2:7] = masks[2, 2:6, 8:12] = masks[4, 7:9] = 8.0
    model.sem_seg_head = Say(logits, masks)
    model.embedding_head = nn.Identity()
    with torch.no_grad():
        (output,) = model([{"images": make_clip(1)["images"]}])
    (found,) = output["instances"]
    assert found.pred_classes.tolist() == [7, 9]
    assert found.embeddings.argmax(1).tolist() == [0, 2]
    assert 0.45 < found.scores[1] < 0.6 < 0.95 < found.scores[0]
    # Mask logits are at a quarter of the size.
    assert found.pred_masks[0, 8:24, 8:24].float().mean() > 0.9
    assert found.pred_masks[0].sum() < 1.3 * 256
    model.max_instances = 1
    assert len(model([{"images": make_clip(1)["images"]}])[0]["instances"][0]) == 1
    model.score_thresh = 1.1
    (output,) = model([{"images": make_clip(1)["images"]}])
    assert output["instances"][0].pred_masks.shape == (0, HEIGHT, WIDTH)


def save(weights: dict[str, Any], path: Path) -> str:
    torch.save({"model": weights}, path)
    return str(path)


def public_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a model, other than its own, as those of a public checkpoint."""
    weights = {name: value + 1 for name, value in model.state_dict().items()}
    kept = {name: each for name, each in weights.items() if not name.startswith("embedding_head.")}
    return {**kept, "criterion.empty_weight": torch.ones(49)}


def test_a_public_checkpoint_loads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build().eval()
    weights = public_weights(model)
    with caplog.at_level(logging.WARNING):
        SafeCheckpointer(model, strict=True).load(save(weights, tmp_path / "minvis.pth"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert "if these are the published weights" in caplog.text
    assert "the queries themselves, as in MinVIS" in caplog.text
    with torch.no_grad():
        queries = torch.randn(2, 8, 32)
        assert torch.equal(model.embedding_head(queries), queries)


def test_a_public_checkpoint_is_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build()
    weights = public_weights(model)
    with caplog.at_level(logging.WARNING):
        SafeCheckpointer(model).load(save(weights, tmp_path / "minvis.pth"))
    assert "if these are the published weights" in caplog.text
    assert list(model.embedding_head.parameters())
    name = "sem_seg_head.predictor.query_feat.weight"
    assert torch.equal(model.state_dict()[name], weights[name])


def test_names_of_older_and_related_checkpoints(tmp_path: Path) -> None:
    model = build().eval()
    weights = {name: value + 1 for name, value in model.state_dict().items()}
    renamed = {}
    for name, value in weights.items():
        old = name.replace("embedding_head.", "sem_seg_head.predictor.reid_embed.")
        old = old.replace("query_feat", "static_query").replace(
            "sem_seg_head.pixel_decoder.", "sem_seg_head."
        )
        renamed[f"module.{old}"] = value
    SafeCheckpointer(model, strict=True).load(save(renamed, tmp_path / "ctvis.pth"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_own_checkpoints_say_nothing_of_a_license(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build()
    path = save(model.state_dict(), tmp_path / "own.pth")
    with caplog.at_level(logging.WARNING):
        SafeCheckpointer(model, strict=True).load(path)
    assert not caplog.text
    del (weights := dict(model.state_dict()))["sem_seg_head.predictor.class_embed.weight"]
    with pytest.raises(UserError, match=r"lacks sem_seg_head\.predictor\.class_embed\.weight"):
        SafeCheckpointer(model, strict=True).load(save(weights, tmp_path / "less.pth"))


def test_the_backbone_of_mask_rcnn_is_a_start(tmp_path: Path) -> None:
    model = build()
    backbone = {name: value + 1 for name, value in model.backbone.state_dict().items()}
    weights = {f"backbone.bottom_up.{name}": value for name, value in backbone.items()}
    weights |= {"backbone.fpn_lateral2.weight": torch.zeros(2), "roi_heads.x": torch.zeros(1)}
    SafeCheckpointer(model).load(save(weights, tmp_path / "mask_rcnn.pth"))
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, backbone[name]), name


def test_what_it_says_of_itself() -> None:
    assert model_task(load()) == "video_instances"
    with pytest.raises(UserError, match=r"MODEL\.SEM_SEG_HEAD\.NUM_CLASSES is 7, but the data has"):
        check_model(load("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 7))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("SEM_SEG_HEAD.IN_FEATURES", ["res2", "p3"], "names p3, but the backbone gives res2, res3"),
        (
            "SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES",
            ["res4", "res5"],
            "3 or more of",
        ),
        ("SEM_SEG_HEAD.CONVS_DIM", 40, "must be a multiple of 32 and of MODEL.MASK_FORMER.NHEADS"),
        ("MASK_FORMER.HIDDEN_DIM", 36, "must be a multiple of 4 and of MODEL.MASK_FORMER.NHEADS"),
        ("MASK_FORMER.NHEADS", 0, "must be a whole number from 1"),
    ],
)
def test_what_cannot_be_built(key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(f"MODEL.{key}", value)


@pytest.mark.parametrize("name", ["video_mask_former_R50", "video_mask_former_small_vps"])
def test_shipped_sizes(name: str) -> None:
    cfg = load_config(str(ROOT / "configs" / "video_mask_former" / f"{name}.yaml"))
    with torch.device("meta"):
        model = VideoMaskFormer(cfg)
    count = sum(each.numel() for each in model.state_dict().values())
    if name.endswith("R50"):
        # As the public code says of its R50 model: 44 M with the embedding head here.
        assert 43.5e6 < count < 44.5e6
        assert model.sem_seg_head.predictor.query_feat.weight.shape == (100, 256)
    else:
        assert 2 * count < 16e6
