"""Proposals of boxes that may hold an object: the region proposal network, arXiv 1506.01497.

Shapes: N images, L feature levels, A anchors at every place, R anchors of all levels of an image.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.modeling.box_regression import BoxCoder
from vps_d2.d2.embedded.modeling.layers import Conv2d, FeatureShape, choose
from vps_d2.d2.embedded.modeling.matcher import match, subsample
from vps_d2.d2.embedded.ops import batched_nms
from vps_d2.d2.embedded.structures import Boxes, ImageList, Instances, pairwise_iou
from vps_d2.d2.embedded.utils.events import get_event_storage

__all__ = ["RPN", "AnchorGenerator", "build_proposal_generator"]


class AnchorGenerator(nn.Module):
    """Boxes of a few sizes and shapes, at every place of every map.

    Args:
        sizes: sides in pixels of square anchors, for each level, or one list for all.
        aspect_ratios: height over width, for each level, or one list for all.
        strides: of the levels.
        offset: of the first anchor's center, in strides.

    Raises:
        ValueError: if the lists do not fit the levels.
    """

    def __init__(
        self,
        *,
        sizes: Sequence[Sequence[float]],
        aspect_ratios: Sequence[Sequence[float]],
        strides: Sequence[int],
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        self.offset = offset
        sizes = self._for_every_level("SIZES", sizes)
        aspect_ratios = self._for_every_level("ASPECT_RATIOS", aspect_ratios)
        self.num_anchors = len(sizes[0]) * len(aspect_ratios[0])
        for level, (sides, ratios) in enumerate(zip(sizes, aspect_ratios, strict=True)):
            anchors = []
            for side in sides:
                for ratio in ratios:
                    width = math.sqrt(side**2 / ratio)
                    height = ratio * width
                    anchors.append([-width / 2, -height / 2, width / 2, height / 2])
            self.register_buffer(f"cell_{level}", torch.tensor(anchors), persistent=False)

    def _for_every_level(
        self, key: str, values: Sequence[Sequence[float]]
    ) -> Sequence[Sequence[float]]:
        values = list(values) * len(self.strides) if len(values) == 1 else values
        if len(values) != len(self.strides) or len({len(value) for value in values}) != 1:
            raise user_error(
                f"MODEL.ANCHOR_GENERATOR.{key} has {len(values)} lists for {len(self.strides)} "
                "feature maps; give one, or one of equal length for each map."
            )
        return values

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return anchors (H * W * A, 4) of each map (N, C, H, W), row by row."""
        return [
            self._grid(self.get_buffer(f"cell_{level}"), feature.shape[-2:], stride)
            for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True))
        ]

    def _grid(self, cell: torch.Tensor, size: Sequence[int], stride: int) -> torch.Tensor:
        y, x = (torch.arange(count, device=cell.device) + self.offset for count in size)
        y, x = torch.meshgrid(y * stride, x * stride, indexing="ij")
        places = torch.stack([x, y, x, y], dim=-1).view(-1, 1, 4).to(cell)
        return (places + cell).view(-1, 4)


class _Head(nn.Module):
    """Score and offsets of every anchor, from a few convolutions that all levels share."""

    def __init__(self, channels: int, num_anchors: int, conv_dims: Sequence[int]) -> None:
        super().__init__()
        convs = []
        width = channels
        for dim in conv_dims:
            convs.append(Conv2d(width, width if dim == -1 else dim, 3, relu=True))
            width = convs[-1].out_channels
        # As in Detectron2's names, a single convolution is not in a list.
        self.conv: nn.Module
        if len(convs) == 1:
            self.conv = convs[0]
        else:
            self.conv = nn.Sequential()
            for index, conv in enumerate(convs):
                self.conv.add_module(f"conv{index}", conv)
        self.objectness_logits = nn.Conv2d(width, num_anchors, kernel_size=1)
        self.anchor_deltas = nn.Conv2d(width, 4 * num_anchors, kernel_size=1)
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def forward(
        self, features: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return logits (N, H * W * A) and offsets (N, H * W * A, 4) of each map."""
        logits, offsets = [], []
        for feature in features:
            hidden = self.conv(feature)
            score = self.objectness_logits(hidden)
            logits.append(score.permute(0, 2, 3, 1).flatten(1))
            delta = self.anchor_deltas(hidden)
            delta = delta.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)
            offsets.append(delta.flatten(1, -2))
        return logits, offsets


class RPN(nn.Module):
    """Region proposal network.

    Args:
        cfg: with the keys of MODEL.RPN, ANCHOR_GENERATOR and PROPOSAL_GENERATOR.
        shapes: of the maps that there are.

    Raises:
        ValueError: if a key asks for what is not there.
    """

    def __init__(self, cfg: CfgNode, shapes: dict[str, FeatureShape]) -> None:
        super().__init__()
        keys = cfg.MODEL.RPN
        known = {name: name for name in shapes}
        self.in_features = [choose("MODEL.RPN.IN_FEATURES", f, known) for f in keys.IN_FEATURES]
        generator = choose(
            "MODEL.ANCHOR_GENERATOR.NAME",
            cfg.MODEL.ANCHOR_GENERATOR.NAME,
            {"DefaultAnchorGenerator": AnchorGenerator},
        )
        head = choose("MODEL.RPN.HEAD_NAME", keys.HEAD_NAME, {"StandardRPNHead": _Head})
        self.anchor_generator = generator(
            sizes=cfg.MODEL.ANCHOR_GENERATOR.SIZES,
            aspect_ratios=cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS,
            strides=[shapes[name].stride for name in self.in_features],
            offset=cfg.MODEL.ANCHOR_GENERATOR.OFFSET,
        )
        channels = shapes[self.in_features[0]].channels
        self.rpn_head = head(channels, self.anchor_generator.num_anchors, keys.CONV_DIMS)
        self.coder = BoxCoder(
            keys.BBOX_REG_WEIGHTS,
            loss=keys.BBOX_REG_LOSS_TYPE,
            beta=keys.SMOOTH_L1_BETA,
            key="MODEL.RPN.BBOX_REG_LOSS_TYPE",
        )
        self.thresholds, self.labels = keys.IOU_THRESHOLDS, keys.IOU_LABELS
        self.boundary_thresh = keys.BOUNDARY_THRESH
        self.batch_size, self.positive_fraction = keys.BATCH_SIZE_PER_IMAGE, keys.POSITIVE_FRACTION
        self.loss_weights = (keys.LOSS_WEIGHT, keys.LOSS_WEIGHT * keys.BBOX_REG_LOSS_WEIGHT)
        self.pre_nms_topk = {True: keys.PRE_NMS_TOPK_TRAIN, False: keys.PRE_NMS_TOPK_TEST}
        self.post_nms_topk = {True: keys.POST_NMS_TOPK_TRAIN, False: keys.POST_NMS_TOPK_TEST}
        self.nms_thresh = keys.NMS_THRESH
        self.min_size = cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Propose boxes.

        Args:
            images: that the features are of.
            features: name -> (N, C, H, W).
            targets: with ``gt_boxes``, in training.

        Returns:
            for each image ``proposal_boxes`` and ``objectness_logits``, best first, and the losses
            "loss_rpn_cls" and "loss_rpn_loc", in training.
        """
        maps = [features[name] for name in self.in_features]
        anchors = self.anchor_generator(maps)
        logits, offsets = self.rpn_head(maps)
        losses = {}
        if self.training:
            assert targets is not None, "RPN needs targets in training"
            losses = self.losses(torch.cat(anchors), logits, offsets, images.image_sizes, targets)
        with torch.no_grad():
            proposals = self.propose(anchors, logits, offsets, images.image_sizes)
        return proposals, losses

    @torch.no_grad()
    def _label(
        self, anchors: torch.Tensor, image_size: tuple[int, int], target: Instances
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels int8 (R,), -1 for anchors not trained on, and matched boxes (R, 4)."""
        gt_boxes = target.gt_boxes
        index, labels = match(
            pairwise_iou(gt_boxes, Boxes(anchors)),
            thresholds=self.thresholds,
            labels=self.labels,
            allow_low_quality=True,
        )
        if self.boundary_thresh >= 0:
            labels[~Boxes(anchors).inside_box(image_size, self.boundary_thresh)] = -1
        positive, negative = subsample(labels, self.batch_size, self.positive_fraction, 0)
        labels = torch.full_like(labels, -1)
        labels[positive], labels[negative] = 1, 0
        matched = gt_boxes.tensor[index] if len(gt_boxes) else torch.zeros_like(anchors)
        return labels, matched

    def losses(
        self,
        anchors: torch.Tensor,
        logits: list[torch.Tensor],
        offsets: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
        targets: list[Instances],
    ) -> dict[str, torch.Tensor]:
        """Return the losses of anchors (R, 4) whose logits and offsets come by level."""
        pairs = [
            self._label(anchors, size, target)
            for size, target in zip(image_sizes, targets, strict=True)
        ]
        labels = torch.stack([label for label, _ in pairs])
        matched = torch.stack([boxes for _, boxes in pairs])
        positive, counted = labels == 1, labels >= 0
        storage = get_event_storage()
        storage.put_scalar("rpn/num_pos_anchors", int(positive.sum()) / len(targets))
        storage.put_scalar("rpn/num_neg_anchors", int((labels == 0).sum()) / len(targets))
        all_anchors = anchors.expand(len(targets), -1, -1)
        objectness = F.binary_cross_entropy_with_logits(
            torch.cat(logits, dim=1)[counted].float(), labels[counted].float(), reduction="sum"
        )
        location = self.coder.loss(
            all_anchors[positive], torch.cat(offsets, dim=1)[positive], matched[positive]
        )
        normalizer = self.batch_size * len(targets)
        return {
            "loss_rpn_cls": objectness / normalizer * self.loss_weights[0],
            "loss_rpn_loc": location / normalizer * self.loss_weights[1],
        }

    def propose(
        self,
        anchors: list[torch.Tensor],
        logits: list[torch.Tensor],
        offsets: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Return the best boxes of each image; boxes of a level suppress those of that level.

        Raises:
            FloatingPointError: in training, if a prediction is infinite or NaN.
        """
        boxes, scores, levels = [], [], []
        for level, (anchor, logit, delta) in enumerate(zip(anchors, logits, offsets, strict=True)):
            count = min(self.pre_nms_topk[self.training], logit.shape[1])
            score, index = logit.topk(count, dim=1)
            chosen = delta.gather(1, index[..., None].expand(-1, -1, 4))
            decoded = self.coder.decode(chosen.flatten(0, 1), anchor[index].flatten(0, 1))
            boxes.append(decoded.view(*index.shape, 4))
            scores.append(score)
            levels.append(torch.full((count,), level, device=logit.device))
        return [
            self._select(box, score, torch.cat(levels), size)
            for box, score, size in zip(
                torch.cat(boxes, dim=1), torch.cat(scores, dim=1), image_sizes, strict=True
            )
        ]

    def _select(
        self,
        boxes: torch.Tensor,
        scores: torch.Tensor,
        levels: torch.Tensor,
        image_size: tuple[int, int],
    ) -> Instances:
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
        if not finite.all():
            if self.training:
                raise FloatingPointError("proposals contain infinities or NaN; training diverged")
            boxes, scores, levels = boxes[finite], scores[finite], levels[finite]
        candidates = Boxes(boxes)
        candidates.clip(image_size)
        kept = candidates.nonempty(threshold=self.min_size)
        boxes, scores, levels = candidates.tensor[kept], scores[kept], levels[kept]
        best = batched_nms(boxes.float(), scores.float(), levels, self.nms_thresh)
        best = best[: self.post_nms_topk[self.training]]
        return Instances(
            image_size, proposal_boxes=Boxes(boxes[best]), objectness_logits=scores[best]
        )


def build_proposal_generator(cfg: CfgNode, shapes: dict[str, FeatureShape]) -> RPN:
    """Build what MODEL.PROPOSAL_GENERATOR.NAME names.

    Raises:
        ValueError: if a key asks for what is not there.
    """
    name = cfg.MODEL.PROPOSAL_GENERATOR.NAME
    return choose("MODEL.PROPOSAL_GENERATOR.NAME", name, {"RPN": RPN})(cfg, shapes)
