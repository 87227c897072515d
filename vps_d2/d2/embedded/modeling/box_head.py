"""Class and exact box of a proposal (arXiv 1504.08083).

Shapes: R proposals of a batch, K classes, C channels.
"""

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.modeling.box_regression import BoxCoder
from vps_d2.d2.embedded.modeling.layers import Conv2d
from vps_d2.d2.embedded.ops import batched_nms
from vps_d2.d2.embedded.structures import Boxes, Instances
from vps_d2.d2.embedded.utils.events import get_event_storage

__all__ = ["FastRCNNConvFCHead", "FastRCNNOutputLayers"]


class FastRCNNConvFCHead(nn.Module):
    """Convolutions, then fully connected layers, each with ReLU.

    Args:
        cfg: with the keys of MODEL.ROI_BOX_HEAD.
        channels: of the input.
        resolution: side of the input.

    Attributes:
        channels: of the output.
    """

    def __init__(self, cfg: CfgNode, channels: int, resolution: int) -> None:
        super().__init__()
        keys = cfg.MODEL.ROI_BOX_HEAD
        self.convs: list[str] = []
        self.fcs: list[str] = []
        for number in range(1, keys.NUM_CONV + 1):
            conv = Conv2d(channels, keys.CONV_DIM, 3, norm=keys.NORM, relu=True)
            weight_init.c2_msra_fill(conv)
            self.convs.append(f"conv{number}")
            self.add_module(self.convs[-1], conv)
            channels = keys.CONV_DIM
        if keys.NUM_FC:
            channels *= resolution**2
        for number in range(1, keys.NUM_FC + 1):
            layer = nn.Linear(channels, keys.FC_DIM)
            weight_init.c2_xavier_fill(layer)
            self.fcs.append(f"fc{number}")
            self.add_module(self.fcs[-1], layer)
            channels = keys.FC_DIM
        self.channels = channels if keys.NUM_FC else channels * resolution**2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (R, C, resolution, resolution) to (R, channels)."""
        for name in self.convs:
            x = self.get_submodule(name)(x)
        x = x.flatten(1)
        for name in self.fcs:
            x = F.relu(self.get_submodule(name)(x))
        return x


class FastRCNNOutputLayers(nn.Module):
    """From a proposal's features to scores of K classes and background, and offsets of its box.

    Args:
        cfg: with the keys of MODEL.ROI_HEADS and ROI_BOX_HEAD.
        channels: of the features.

    Raises:
        ValueError: if the loss is unknown.
    """

    def __init__(self, cfg: CfgNode, channels: int) -> None:
        super().__init__()
        keys = cfg.MODEL.ROI_BOX_HEAD
        self.num_classes = cfg.MODEL.ROI_HEADS.NUM_CLASSES
        self.cls_score = nn.Linear(channels, self.num_classes + 1)
        boxes = 1 if keys.CLS_AGNOSTIC_BBOX_REG else self.num_classes
        self.bbox_pred = nn.Linear(channels, 4 * boxes)
        for layer, deviation in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)
        self.coder = BoxCoder(
            keys.BBOX_REG_WEIGHTS,
            loss=keys.BBOX_REG_LOSS_TYPE,
            beta=keys.SMOOTH_L1_BETA,
            key="MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE",
        )
        self.loss_weight = keys.BBOX_REG_LOSS_WEIGHT
        self.score_thresh = cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST
        self.nms_thresh = cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST
        self.topk = cfg.TEST.DETECTIONS_PER_IMAGE

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From (R, C) to logits (R, K + 1), background last, and offsets (R, 4) or (R, 4 * K)."""
        return self.cls_score(x), self.bbox_pred(x)

    def losses(
        self, logits: torch.Tensor, offsets: torch.Tensor, proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """Return "loss_cls" and "loss_box_reg" of sampled proposals, which have gt_classes."""
        classes = torch.cat([proposal.gt_classes for proposal in proposals])
        boxes = torch.cat([proposal.proposal_boxes.tensor for proposal in proposals])
        foreground = torch.nonzero((classes >= 0) & (classes < self.num_classes))[:, 0]
        _log_accuracy(logits, classes, self.num_classes)
        # Proposals of an image without objects have no gt_boxes, and are all background.
        wanted = torch.cat(
            [(p.gt_boxes if p.has("gt_boxes") else p.proposal_boxes).tensor for p in proposals]
        )
        chosen = offsets[foreground]
        if offsets.shape[1] != 4:
            rows = torch.arange(len(foreground), device=offsets.device)
            chosen = chosen.unflatten(1, (-1, 4))[rows, classes[foreground]]
        location = self.coder.loss(boxes[foreground], chosen, wanted[foreground])
        # An empty batch has no mean; the sum keeps the autograd graph.
        mean = F.cross_entropy(logits.float(), classes) if len(classes) else logits.sum() * 0.0
        return {
            "loss_cls": mean,
            "loss_box_reg": location / max(len(classes), 1) * self.loss_weight,
        }

    def inference(
        self, logits: torch.Tensor, offsets: torch.Tensor, proposals: list[Instances]
    ) -> list[Instances]:
        """Return for each image ``pred_boxes``, ``scores`` and ``pred_classes``, best first."""
        counts = [len(proposal) for proposal in proposals]
        source = torch.cat([proposal.proposal_boxes.tensor for proposal in proposals])
        boxes = self.coder.decode(offsets, source).split(counts)
        scores = F.softmax(logits.float(), dim=-1).split(counts)
        return [
            self._detect(box, score, proposal.image_size)
            for box, score, proposal in zip(boxes, scores, proposals, strict=True)
        ]

    def _detect(
        self, boxes: torch.Tensor, scores: torch.Tensor, image_size: tuple[int, int]
    ) -> Instances:
        """Return the detections of one image from boxes (R, 4 or 4 * K) and scores (R, K + 1)."""
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
        boxes, scores = boxes[finite], scores[finite, :-1]
        per_class = boxes.shape[1] // 4
        clipped = Boxes(boxes.reshape(-1, 4))
        clipped.clip(image_size)
        boxes = clipped.tensor.unflatten(0, (len(scores), per_class))
        proposal, number = torch.nonzero(scores > self.score_thresh, as_tuple=True)
        boxes = boxes[proposal, 0 if per_class == 1 else number]
        scores = scores[proposal, number]
        best = batched_nms(boxes, scores, number, self.nms_thresh)
        if self.topk >= 0:
            best = best[: self.topk]
        return Instances(
            image_size,
            pred_boxes=Boxes(boxes[best]),
            scores=scores[best],
            pred_classes=number[best],
        )


def _log_accuracy(logits: torch.Tensor, classes: torch.Tensor, background: int) -> None:
    """Log how many proposals get the right class."""
    if not len(classes):
        return
    predicted = logits.argmax(dim=1)
    foreground = (classes >= 0) & (classes < background)
    storage = get_event_storage()
    storage.put_scalar("fast_rcnn/cls_accuracy", float((predicted == classes).float().mean()))
    if foreground.any():
        right = (predicted == classes)[foreground].float().mean()
        missed = (predicted == background)[foreground].float().mean()
        storage.put_scalar("fast_rcnn/fg_cls_accuracy", float(right))
        storage.put_scalar("fast_rcnn/false_negative", float(missed))
