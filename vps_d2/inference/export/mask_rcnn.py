"""Mask R-CNN as one function of tensors, which Detectron2's lists of instances are not.

It uses the layers of the model and the keys of its configuration, which are the same in Detectron2
and in the embedded engine, and computes what either does in inference.

Shapes: ``H`` rows, ``W`` columns, ``R`` boxes (left, top, right, bottom in pixels), ``A`` anchors,
``K`` classes, ``C`` channels, ``M`` the side of a mask.
"""

import math
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError

_MAX_LOG_SCALE = math.log(1000 / 16)
"""An object is never predicted to be more than 62 times as large as its box."""
_CANONICAL_SIZE, _CANONICAL_LEVEL = 224, 4
"""A box of this side is cut from the level of stride 2 ** 4 (arXiv 1612.03144, eq. 1)."""

_WANTED = {
    "MODEL.PROPOSAL_GENERATOR.NAME": "RPN",
    "MODEL.RPN.HEAD_NAME": "StandardRPNHead",
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
    "MODEL.ROI_MASK_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.MASK_ON": True,
}
_CONVOLUTIONS = ("MODEL.RPN.CONV_DIMS", [-1])


def check_parts(cfg: CfgNode) -> None:
    """Check that a Mask R-CNN is made of the parts that can be exported.

    Raises:
        UserError: if one of them is another.
    """
    for key, wanted in (*_WANTED.items(), _CONVOLUTIONS):
        found = cfg
        for name in key.split("."):
            found = found[name]
        if found != wanted:
            raise UserError(
                f"{key} is {found}, but only a Mask R-CNN with {wanted} there can be exported; "
                "export another model."
            )


class TensorMaskRCNN(nn.Module):
    """Mask R-CNN for one picture.

    Args:
        model: the architecture ``GeneralizedRCNN`` of either engine, with a feature pyramid.
        cfg: that it was built from.
    """

    model: Any  # whose layers are found by name

    def __init__(self, model: nn.Module, cfg: CfgNode) -> None:
        super().__init__()
        check_parts(cfg)
        keys = cfg.MODEL
        self.model = model
        self.rpn_features = list(keys.RPN.IN_FEATURES)
        self.roi_features = list(keys.ROI_HEADS.IN_FEATURES)
        shapes = self.model.backbone.output_shape()
        self.strides = {name: int(shape.stride) for name, shape in shapes.items()}
        self.offset = keys.ANCHOR_GENERATOR.OFFSET
        for name, cell in zip(self.rpn_features, _cells(cfg), strict=True):
            self.register_buffer(f"cell_{name}", cell, persistent=False)
        self.num_before, self.num_after = keys.RPN.PRE_NMS_TOPK_TEST, keys.RPN.POST_NMS_TOPK_TEST
        self.nms_thresh = keys.RPN.NMS_THRESH
        self.min_size = keys.PROPOSAL_GENERATOR.MIN_SIZE
        self.anchor_weights = tuple(keys.RPN.BBOX_REG_WEIGHTS)
        self.box_weights = tuple(keys.ROI_BOX_HEAD.BBOX_REG_WEIGHTS)
        self.score_thresh = keys.ROI_HEADS.SCORE_THRESH_TEST
        self.detection_nms_thresh = keys.ROI_HEADS.NMS_THRESH_TEST
        self.num_detections = cfg.TEST.DETECTIONS_PER_IMAGE
        heads = (keys.ROI_BOX_HEAD, keys.ROI_MASK_HEAD)
        self.pooling = [(head.POOLER_RESOLUTION, head.POOLER_SAMPLING_RATIO) for head in heads]
        self.num_convolutions = keys.ROI_MASK_HEAD.NUM_CONV

    def forward(
        self, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Detect objects.

        Args:
            image: uint8 ``(3, H, W)``, in the channel order of INPUT.FORMAT.

        Returns:
            best first, boxes float32 ``(R, 4)``, scores float32 ``(R,)``, classes int64 ``(R,)``
            (class number minus one) and masks float32 ``(R, H, W)``, probabilities.
        """
        model, (height, width) = self.model, image.shape[-2:]
        multiple = model.backbone.size_divisibility
        pixels = (image - model.pixel_mean) / model.pixel_std
        # In this form, torch.export sees that the sum is a multiple.
        below, right = ((s + multiple - 1) // multiple * multiple - s for s in (height, width))
        padded = F.pad(pixels, (0, right, 0, below))
        maps = model.backbone(padded[None])
        limit = torch.stack([torch.full((), side) for side in (width, height)]).float().repeat(2)
        proposals = self._propose([maps[name] for name in self.rpn_features], limit)
        levels = [maps[name] for name in self.roi_features]
        boxes, scores, classes = self._detect(levels, proposals, limit)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1).nonzero()[:, 0]
        boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
        masks = self._masks(levels, boxes, classes)
        return boxes, scores, classes, _paste(masks, boxes, height, width)

    def _propose(self, maps: list[torch.Tensor], limit: torch.Tensor) -> torch.Tensor:
        """Return the boxes that may hold an object, ``(R, 4)``."""
        head = self.model.proposal_generator.rpn_head
        boxes, scores, levels = [], [], []
        for number, (name, each) in enumerate(zip(self.rpn_features, maps, strict=True)):
            hidden = F.relu(head.conv(each))
            score = head.objectness_logits(hidden)[0].permute(1, 2, 0).flatten()
            offsets = head.anchor_deltas(hidden)[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1)
            score, best = score.topk(torch.sym_min(self.num_before, score.shape[0]))
            anchors = self._anchors(name, each)[best]
            boxes.append(_decode(offsets.flatten(0, 2)[best], anchors, self.anchor_weights)[:, 0])
            scores.append(score)
            levels.append(torch.full_like(best, number))
        found, score, level = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        found = _clip(found, limit)
        whole = (found[:, 2:] - found[:, :2] > self.min_size).all(1) & score.isfinite()
        chosen = whole.nonzero()[:, 0]
        found, score, level = found[chosen], score[chosen], level[chosen]
        return found[_nms(found, score, level, self.nms_thresh)[: self.num_after]]

    def _anchors(self, name: str, features: torch.Tensor) -> torch.Tensor:
        y, x = (torch.arange(count) + self.offset for count in features.shape[-2:])
        y, x = torch.meshgrid(y * self.strides[name], x * self.strides[name], indexing="ij")
        places = torch.stack([x, y, x, y], dim=-1)[:, :, None]
        cells = self.get_buffer(f"cell_{name}")
        return (places.to(cells) + cells).flatten(0, 2)

    def _detect(
        self, maps: list[torch.Tensor], proposals: torch.Tensor, limit: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return boxes, scores and classes of objects, best first."""
        heads = self.model.roi_heads
        logits, offsets = heads.box_predictor(heads.box_head(self._pool(maps, proposals, 0)))
        boxes = _clip(_decode(offsets, proposals, self.box_weights), limit)
        scores = logits.softmax(1)[:, :-1]
        proposal, number = (scores > self.score_thresh).nonzero(as_tuple=True)
        boxes = boxes[proposal, number] if boxes.shape[1] > 1 else boxes[proposal, 0]
        scores = scores[proposal, number]
        best = _nms(boxes, scores, number, self.detection_nms_thresh)
        if self.num_detections >= 0:
            best = best[: self.num_detections]
        return boxes[best], scores[best], number[best]

    def _masks(
        self, maps: list[torch.Tensor], boxes: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Return the probabilities in boxes, ``(R, M, M)``."""
        head = self.model.roi_heads.mask_head
        x = self._pool(maps, boxes, 1)
        for number in range(1, self.num_convolutions + 1):
            x = F.relu(head.get_submodule(f"mask_fcn{number}")(x))
        logits = head.predictor(F.relu(head.deconv(x)))
        if logits.shape[1] > 1:
            logits = logits[torch.arange(boxes.shape[0]), classes]
        return logits.flatten(0, -3).sigmoid()

    def _pool(self, maps: list[torch.Tensor], boxes: torch.Tensor, head: int) -> torch.Tensor:
        """Cut the features of boxes from the levels that fit their sizes, ``(R, C, S, S)``."""
        from torchvision.ops import roi_align

        size, sampling_ratio = self.pooling[head]
        strides = [self.strides[name] for name in self.roi_features]
        first, last = (int(math.log2(stride)) for stride in (strides[0], strides[-1]))
        side = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
        level = _CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIZE + sys.float_info.epsilon)
        level = level.floor().clamp(first, last).long() - first
        regions = F.pad(boxes, (1, 0))  # all of the first picture
        pooled = maps[0].new_zeros(boxes.shape[0], maps[0].shape[1], size, size)
        for number, (features, stride) in enumerate(zip(maps, strides, strict=True)):
            chosen = (level == number).nonzero()[:, 0]
            cut = roi_align(features, regions[chosen], size, 1 / stride, sampling_ratio, True)
            pooled = pooled.index_put((chosen,), cut)
        return pooled


def _cells(cfg: CfgNode) -> list[torch.Tensor]:
    """Return the anchors of each level around the origin, ``(A, 4)``."""
    keys, cells = cfg.MODEL.ANCHOR_GENERATOR, []
    for level in range(len(cfg.MODEL.RPN.IN_FEATURES)):
        sizes, ratios = (each[level % len(each)] for each in (keys.SIZES, keys.ASPECT_RATIOS))
        sides = [(math.sqrt(size**2 / ratio), ratio) for size in sizes for ratio in ratios]
        halves = [(width / 2, ratio * width / 2) for width, ratio in sides]
        cells.append(torch.tensor([(-x, -y, x, y) for x, y in halves]))
    return cells


def _decode(
    offsets: torch.Tensor, source: torch.Tensor, weights: tuple[float, ...]
) -> torch.Tensor:
    """Return boxes ``(R, K, 4)`` from offsets ``(R, 4 * K)`` and source boxes ``(R, 4)``."""
    size = source[:, 2:] - source[:, :2]
    center = source[:, :2] + 0.5 * size
    offsets = offsets.unflatten(1, (-1, 4)) / offsets.new_tensor(weights)
    new_center = offsets[..., :2] * size[:, None] + center[:, None]
    new_size = offsets[..., 2:].clamp(max=_MAX_LOG_SCALE).exp() * size[:, None]
    return torch.cat([new_center - 0.5 * new_size, new_center + 0.5 * new_size], dim=-1)


def _clip(boxes: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    return torch.minimum(boxes.clamp(min=0), limit)


def _nms(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float
) -> torch.Tensor:
    """Return the indices of the best of overlapping boxes of the same group, best first.

    The boxes of each group are moved to a place of their own, as torchvision does with few boxes.
    """
    from torchvision.ops import nms

    step = F.pad(boxes.flatten(), (0, 1)).amax(0) + 1  # of no boxes there is no maximum
    return nms(boxes + (groups * step)[:, None], scores, threshold)


def _paste(masks: torch.Tensor, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Draw masks ``(R, M, M)`` into their boxes, ``(R, H, W)``."""
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    x = (torch.arange(width) + 0.5 - low[:, :1]) / size[:, :1] * 2 - 1
    y = (torch.arange(height) + 0.5 - low[:, 1:]) / size[:, 1:] * 2 - 1
    x, y = (each.expand(-1, height, width) for each in (x[:, None], y[:, :, None]))
    return F.grid_sample(masks[:, None], torch.stack([x, y], -1), align_corners=False)[:, 0]
