"""Mask R-CNN: the same weights give the same losses and detections on either engine."""

import importlib

import pytest
import torch

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2 import ENGINE
from vps_d2.d2.embedded import structures as embedded_structures
from vps_d2.d2.embedded.modeling import box_regression as embedded_box_regression
from vps_d2.d2.embedded.modeling import mask_head as embedded_mask_head
from vps_d2.d2.embedded.modeling import matcher as embedded_matcher
from vps_d2.d2.embedded.modeling import poolers as embedded_poolers
from vps_d2.d2.embedded.modeling import postprocessing as embedded_postprocessing
from vps_d2.d2.modeling import META_ARCH_REGISTRY, build_backbone, build_model
from vps_d2.d2.utils.events import EventStorage

SIZE = (64, 96)


def config(get_cfg, *opts):
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            *("MODEL.META_ARCHITECTURE", "GeneralizedRCNN", "MODEL.MASK_ON", True),
            *("MODEL.DEVICE", "cpu", "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone"),
            *("MODEL.BACKBONE.FREEZE_AT", 0, "MODEL.RESNETS.DEPTH", 18),
            *("MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.RESNETS.NORM", "BN"),
            *("MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"]),
            *("MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"]),
            *("MODEL.FPN.OUT_CHANNELS", 16, "MODEL.FPN.NORM", "BN"),
            *("MODEL.ANCHOR_GENERATOR.SIZES", [[8], [16], [32], [64], [128]]),
            *("MODEL.RPN.IN_FEATURES", ["p2", "p3", "p4", "p5", "p6"]),
            *("MODEL.RPN.POST_NMS_TOPK_TEST", 40, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 40),
            *("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_HEADS.NUM_CLASSES", 5),
            *("MODEL.ROI_HEADS.IN_FEATURES", ["p2", "p3", "p4", "p5"]),
            *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.05),
            *("MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead", "MODEL.ROI_BOX_HEAD.NUM_FC", 2),
            *("MODEL.ROI_BOX_HEAD.FC_DIM", 32, "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 7),
            *("MODEL.ROI_MASK_HEAD.NUM_CONV", 2, "MODEL.ROI_MASK_HEAD.CONV_DIM", 16),
            *opts,
        ]
    )
    return cfg


def build(*opts):
    torch.manual_seed(0)
    return build_model(config(get_vps_cfg, *opts))


def inputs(structures, counts, seed=1):
    """A batch of images with so many objects each."""
    rng = torch.Generator().manual_seed(seed)
    batch = []
    for count in counts:
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([60.0, 30.0])
        boxes = torch.cat([corner, corner + 20], dim=1)
        masks = torch.zeros(count, *SIZE, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
            mask[top:bottom, left:right] = True
        objects = structures.Instances(SIZE)
        objects.gt_boxes = structures.Boxes(boxes)
        objects.gt_classes = torch.arange(count) % 5
        objects.gt_masks = structures.BitMasks(masks)
        image = torch.randint(0, 256, (3, *SIZE), generator=rng, dtype=torch.uint8)
        batch.append({"image": image, "instances": objects})
    return batch


@pytest.fixture
def structures():
    return importlib.import_module("vps_d2.d2.structures")


def losses_of(model, batch):
    model.train()
    torch.manual_seed(3)
    with EventStorage(0):
        return model(batch)


def test_is_registered():
    assert "GeneralizedRCNN" in META_ARCH_REGISTRY


@pytest.mark.parametrize("counts", [(2, 1), (0, 3), (0,)], ids=str)
def test_trains_with_and_without_objects(structures, counts):
    model = build()
    losses = losses_of(model, inputs(structures, counts))
    names = {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask"}
    assert set(losses) == names
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    # Every parameter takes part, so that training on several GPUs does not hang.
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_detections_have_the_size_asked_for(structures):
    model = build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0).eval()
    entry = inputs(structures, [1])[0] | {"height": 32, "width": 48}
    with torch.no_grad():
        (output,) = model([entry])
    found = output["instances"]
    assert found.image_size == (32, 48) and len(found) > 0
    assert found.pred_masks.shape == (len(found), 32, 48)
    assert found.pred_masks.dtype == torch.bool
    assert found.pred_boxes.tensor[:, 2].max() <= 48


def test_nothing_found(structures):
    model = build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1.0).eval()
    with torch.no_grad():
        (output,) = model(inputs(structures, [1]))
    found = output["instances"]
    assert len(found) == 0 and found.pred_masks.shape == (0, *SIZE)


# Boxes of this side do not fit into the images, so none is proposed.
NO_PROPOSAL = ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 1000)
AGNOSTIC = (
    *("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True),
    *("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True),
)
HEADS = {
    "per class": (),
    "agnostic": AGNOSTIC,
    "normalized": (
        *("MODEL.ROI_BOX_HEAD.NUM_CONV", 1, "MODEL.ROI_BOX_HEAD.CONV_DIM", 32),
        *("MODEL.ROI_BOX_HEAD.NORM", "GN", "MODEL.ROI_MASK_HEAD.NORM", "GN"),
        *("MODEL.ROI_MASK_HEAD.CONV_DIM", 32),
    ),
    "no mask": ("MODEL.MASK_ON", False),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("opts", HEADS.values(), ids=HEADS.keys())
def test_nothing_proposed(structures, opts, count):
    model = build(*NO_PROPOSAL, *opts).eval()
    with torch.no_grad():
        outputs = model(inputs(structures, [1] * count))
    assert len(outputs) == count
    for output in outputs:
        found = output["instances"]
        assert len(found) == 0 and found.pred_boxes.tensor.shape == (0, 4)
        assert found.has("pred_masks") == model.roi_heads.mask_on
        if model.roi_heads.mask_on:
            assert found.pred_masks.shape == (0, *SIZE)


@pytest.mark.parametrize("counts", [(1,), (0, 2), (0, 0)], ids=str)
@pytest.mark.parametrize("loss", ["smooth_l1", "giou"])
@pytest.mark.parametrize("opts", HEADS.values(), ids=HEADS.keys())
def test_trains_where_nothing_is_proposed(structures, opts, loss, counts):
    model = build(
        *(*NO_PROPOSAL, "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", False, *opts),
        *("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", loss, "MODEL.RPN.BBOX_REG_LOSS_TYPE", loss),
    )
    losses = losses_of(model, inputs(structures, counts))
    for name in ("loss_cls", "loss_box_reg", "loss_mask"):
        assert losses.get(name, 0) == 0, name
    total = sum(losses.values())
    assert torch.isfinite(total) and total > 0
    total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(torch.isfinite(buffer).all() for buffer in model.buffers())


def test_no_image_at_all(structures):
    with pytest.raises(AssertionError):
        losses_of(build(), [])


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 refuses an empty batch")
def test_no_image_gives_no_detections():
    assert build().eval()([]) == []


def test_boxes_of_nothing():
    coder = embedded_box_regression.BoxCoder((10.0, 10.0, 5.0, 5.0))
    none = torch.empty(0, 4)
    assert coder.decode(torch.empty(0, 4), none).shape == (0, 4)
    assert coder.decode(torch.empty(0, 20), none).shape == (0, 20)
    assert coder.encode(none, none).shape == (0, 4)
    assert coder.loss(none, none, none) == 0


def test_masks_of_nothing():
    head = embedded_mask_head.MaskRCNNConvUpsampleHead(config(get_vps_cfg), 16)
    assert head(torch.empty(0, 16, 14, 14)).shape == (0, 5, 28, 28)
    boxes = embedded_structures.Boxes(torch.empty(0, 4))
    pasted = embedded_postprocessing.paste_masks(torch.empty(0, 28, 28), boxes, 5, 7)
    assert pasted.shape == (0, 5, 7) and pasted.dtype == torch.bool


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)], ids=str)
def test_matches_of_nothing(shape):
    index, labels = embedded_matcher.match(
        torch.zeros(shape), thresholds=[0.3, 0.7], labels=[0, -1, 1], allow_low_quality=True
    )
    assert index.tolist() == labels.tolist() == [0] * shape[1]
    positive, negative = embedded_matcher.subsample(labels, 2, 0.5, background=0)
    assert len(positive) == 0 and len(negative) == min(shape[1], 2)


@pytest.mark.parametrize("counts", [(0,), (0, 0), (2, 0)], ids=str)
def test_features_of_nothing(counts):
    pooler = embedded_poolers.ROIPooler(
        output_size=7, strides=[4, 8], sampling_ratio=0, pooler_type="ROIAlignV2", key="KEY"
    )
    maps = [torch.zeros(len(counts), 3, side, side) for side in (16, 8)]
    boxes = [embedded_structures.Boxes(torch.rand(count, 4).sort().values) for count in counts]
    assert pooler(maps, boxes).shape == (sum(counts), 3, 7, 7)


def test_images_of_different_sizes_in_one_batch(structures):
    model = build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0).eval()
    first, second = inputs(structures, [1, 1])
    second = {"image": second["image"][:, :40, :50]}
    with torch.no_grad():
        sizes = [output["instances"].image_size for output in model([first, second])]
    assert [tuple(size) for size in sizes] == [SIZE, (40, 50)]


def test_bfloat16_and_channels_last(structures):
    model = build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        total = sum(losses_of(model, inputs(structures, (2, 0))).values())
    total.backward()
    assert torch.isfinite(total)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        (output,) = model.eval()(inputs(structures, [1]))
    assert output["instances"].pred_boxes.tensor.dtype == torch.float32


VARIANTS = {
    "R18": (),
    "R50": (
        *("MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.RES2_OUT_CHANNELS", 32),
        *("MODEL.RESNETS.WIDTH_PER_GROUP", 8, "MODEL.RESNETS.STRIDE_IN_1X1", False),
    ),
    "caffe": (
        *("MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.NORM", "FrozenBN"),
        *("MODEL.RESNETS.WIDTH_PER_GROUP", 8, "MODEL.RESNETS.NUM_GROUPS", 2),
        *("MODEL.BACKBONE.FREEZE_AT", 2, "MODEL.FPN.NORM", "", "MODEL.FPN.FUSE_TYPE", "avg"),
    ),
    "agnostic": (
        *("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True),
        *("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True, "MODEL.ROI_BOX_HEAD.NUM_CONV", 1),
        *("MODEL.ROI_BOX_HEAD.CONV_DIM", 16, "MODEL.ROI_BOX_HEAD.NORM", "BN"),
        *("MODEL.ROI_MASK_HEAD.NORM", "GN", "MODEL.ROI_MASK_HEAD.CONV_DIM", 32),
    ),
    "giou": (
        *("MODEL.RPN.BBOX_REG_LOSS_TYPE", "giou", "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou"),
        *("MODEL.RPN.CONV_DIMS", [16, -1], "MODEL.RPN.BOUNDARY_THRESH", 4),
    ),
}


@pytest.mark.parametrize("opts", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_engines_agree(twins, opts):
    models, batches, storages = [], [], []
    for modeling, configs, structures, events in zip(
        twins("modeling"),
        twins("config"),
        twins("structures"),
        twins("utils.events"),
        strict=True,
    ):
        torch.manual_seed(0)
        models.append(modeling.build_model(config(configs.get_cfg, *opts)))
        batches.append(inputs(structures, (2, 0, 3)))
        storages.append(events.EventStorage)
    theirs, ours = models
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "cls_score.weight" in name or "objectness" in name:
                parameter.mul_(20)  # else no two scores differ
            if "mask_head.predictor" in name or "bbox_pred.weight" in name:
                parameter.mul_(100)
    assert set(theirs.state_dict()) == set(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    losses = []
    for model, batch, storage in zip(models, batches, storages, strict=True):
        model.train()
        torch.manual_seed(3)
        with storage(0):
            losses.append(model(batch))
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        assert torch.allclose(value, losses[1][name], rtol=1e-4, atol=1e-5), name

    with torch.no_grad():
        first, second = (model.eval()(batch) for model, batch in zip(models, batches, strict=True))
    for one, other in zip(first, second, strict=True):
        one, other = one["instances"], other["instances"]
        assert len(one) > 0 and torch.equal(one.pred_classes, other.pred_classes)
        assert torch.allclose(one.scores, other.scores, atol=1e-4)
        assert torch.allclose(one.pred_boxes.tensor, other.pred_boxes.tensor, atol=1e-3)
        assert (one.pred_masks != other.pred_masks).float().mean() < 1e-3


BACKBONES = {
    "resnet": ("MODEL.BACKBONE.NAME", "build_resnet_backbone"),
    "pyramid": ("MODEL.FPN.OUT_CHANNELS", 24),
}


@pytest.mark.parametrize("opts", BACKBONES.values(), ids=BACKBONES.keys())
def test_a_backbone_alone(opts):
    torch.manual_seed(0)
    backbone = build_backbone(config(get_vps_cfg, *opts)).eval()
    maps = backbone(torch.rand(2, 3, 64, 96))
    shapes = backbone.output_shape()
    assert list(maps) == list(shapes)
    for name, value in maps.items():
        stride = shapes[name].stride
        assert value.shape == (2, shapes[name].channels, 64 // stride, -(-96 // stride))


WRONG = {
    "MODEL.RESNETS.DEPTH": 20,
    "MODEL.BACKBONE.NAME": "build_resnet_backbone",
    "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
    "MODEL.FPN.FUSE_TYPE": "max",
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIPool",
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": "ciou",
}


@pytest.mark.parametrize(("key", "value"), WRONG.items(), ids=WRONG.keys())
def test_what_the_embedded_engine_has_not_is_named_in_a_sentence(key, value):
    embedded = importlib.import_module("vps_d2.d2.embedded.modeling")
    configs = importlib.import_module("vps_d2.d2.embedded.config")
    from vps_d2.io.errors import UserError

    with pytest.raises(UserError, match=key):
        embedded.build_model(config(configs.get_cfg, key, value))
