"""The heads for proposed boxes: class, exact box and mask."""

import math

import torch
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.modeling.box_head import FastRCNNConvFCHead, FastRCNNOutputLayers
from vps_d2.d2.embedded.modeling.layers import FeatureShape, choose
from vps_d2.d2.embedded.modeling.mask_head import MaskRCNNConvUpsampleHead
from vps_d2.d2.embedded.modeling.matcher import match, subsample
from vps_d2.d2.embedded.modeling.poolers import ROIPooler
from vps_d2.d2.embedded.structures import Boxes, ImageList, Instances, pairwise_iou
from vps_d2.d2.embedded.utils.events import get_event_storage

__all__ = ["StandardROIHeads", "build_roi_heads"]

# Logit of a true object that is added to the proposals: it is certain.
_CERTAIN = math.log((1 - 1e-10) / 1e-10)


class StandardROIHeads(nn.Module):
    """A head for classes and boxes, and, with MODEL.MASK_ON, one for masks.

    Args:
        cfg: with the keys of MODEL.ROI_HEADS, ROI_BOX_HEAD and ROI_MASK_HEAD.
        shapes: of the maps that there are.

    Raises:
        ValueError: if a key asks for what is not there.
    """

    def __init__(self, cfg: CfgNode, shapes: dict[str, FeatureShape]) -> None:
        super().__init__()
        keys = cfg.MODEL.ROI_HEADS
        known = {name: name for name in shapes}
        self.in_features = [
            choose("MODEL.ROI_HEADS.IN_FEATURES", name, known) for name in keys.IN_FEATURES
        ]
        self.num_classes = keys.NUM_CLASSES
        self.thresholds, self.labels = keys.IOU_THRESHOLDS, keys.IOU_LABELS
        self.batch_size, self.positive_fraction = keys.BATCH_SIZE_PER_IMAGE, keys.POSITIVE_FRACTION
        self.append_gt = keys.PROPOSAL_APPEND_GT
        self.mask_on = cfg.MODEL.MASK_ON

        box, strides = cfg.MODEL.ROI_BOX_HEAD, [shapes[name].stride for name in self.in_features]
        channels = shapes[self.in_features[0]].channels
        self.box_pooler = _build_pooler(box, "MODEL.ROI_BOX_HEAD", strides)
        head = choose(
            "MODEL.ROI_BOX_HEAD.NAME", box.NAME, {"FastRCNNConvFCHead": FastRCNNConvFCHead}
        )
        self.box_head = head(cfg, channels, box.POOLER_RESOLUTION)
        self.box_predictor = FastRCNNOutputLayers(cfg, self.box_head.channels)
        if self.mask_on:
            mask = cfg.MODEL.ROI_MASK_HEAD
            self.mask_pooler = _build_pooler(mask, "MODEL.ROI_MASK_HEAD", strides)
            known_heads = {"MaskRCNNConvUpsampleHead": MaskRCNNConvUpsampleHead}
            mask_head = choose("MODEL.ROI_MASK_HEAD.NAME", mask.NAME, known_heads)
            self.mask_head = mask_head(cfg, channels)

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Detect objects.

        Args:
            images: that the features are of.
            features: name -> (N, C, H, W).
            proposals: with ``proposal_boxes`` and ``objectness_logits``.
            targets: with ``gt_boxes``, ``gt_classes`` and ``gt_masks``, in training.

        Returns:
            in training the proposals that were sampled, and losses; else detections with
            ``pred_boxes``, ``scores``, ``pred_classes`` and soft ``pred_masks`` (N, 1, M, M), and
            no losses.
        """
        maps = [features[name] for name in self.in_features]
        if self.training:
            assert targets is not None, "the heads need targets in training"
            proposals = self.sample(proposals, targets)
            losses = self.box_predictor.losses(*self._predict_boxes(maps, proposals), proposals)
            if self.mask_on:
                losses.update(self._mask_losses(maps, proposals))
            return proposals, losses
        detections = self.box_predictor.inference(*self._predict_boxes(maps, proposals), proposals)
        if self.mask_on:
            pooled = self.mask_pooler(maps, [image.pred_boxes for image in detections])
            self.mask_head.inference(self.mask_head(pooled), detections)
        return detections, {}

    def _predict_boxes(
        self, maps: list[torch.Tensor], proposals: list[Instances]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.box_pooler(maps, [proposal.proposal_boxes for proposal in proposals])
        logits, offsets = self.box_predictor(self.box_head(pooled))
        return logits, offsets

    def _mask_losses(
        self, maps: list[torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        foreground = [
            proposal[(proposal.gt_classes >= 0) & (proposal.gt_classes < self.num_classes)]
            for proposal in proposals
        ]
        pooled = self.mask_pooler(maps, [proposal.proposal_boxes for proposal in foreground])
        return self.mask_head.losses(self.mask_head(pooled), foreground)

    @torch.no_grad()
    def sample(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """Choose the proposals to train on, and give them the fields of their objects.

        Those of background get the class ``num_classes``; in an image without objects, that is
        their only field.
        """
        sampled, counts = [], []
        for proposal, target in zip(proposals, targets, strict=True):
            if self.append_gt:
                proposal = _with_truth(proposal, target)
            index, labels = match(
                pairwise_iou(target.gt_boxes, proposal.proposal_boxes),
                thresholds=self.thresholds,
                labels=self.labels,
            )
            classes = torch.full_like(index, self.num_classes)
            if len(target):
                classes = target.gt_classes[index]
                classes[labels == 0] = self.num_classes
                classes[labels == -1] = -1
            positive, negative = subsample(
                classes, self.batch_size, self.positive_fraction, self.num_classes
            )
            chosen = torch.cat([positive, negative])
            result = proposal[chosen]
            result.gt_classes = classes[chosen]
            if len(target):
                for name, value in target.get_fields().items():
                    if name.startswith("gt_") and not result.has(name):
                        result.set(name, value[index[chosen]])
            sampled.append(result)
            counts.append((len(positive), len(negative)))
        storage = get_event_storage()
        for name, values in zip(("fg", "bg"), zip(*counts, strict=True), strict=True):
            storage.put_scalar(f"roi_head/num_{name}_samples", sum(values) / len(values))
        return sampled


def _build_pooler(keys: CfgNode, name: str, strides: list[int]) -> ROIPooler:
    """Build the pooler of a head from its keys, which are called ``name`` in errors."""
    return ROIPooler(
        output_size=keys.POOLER_RESOLUTION,
        strides=strides,
        sampling_ratio=keys.POOLER_SAMPLING_RATIO,
        pooler_type=keys.POOLER_TYPE,
        key=f"{name}.POOLER_TYPE",
    )


def _with_truth(proposal: Instances, target: Instances) -> Instances:
    """Return proposals with the true boxes added, so that every object is learned from."""
    logits = proposal.objectness_logits
    certain = logits.new_full((len(target),), _CERTAIN)
    return Instances(
        proposal.image_size,
        proposal_boxes=Boxes.cat([proposal.proposal_boxes, target.gt_boxes]),
        objectness_logits=torch.cat([logits, certain]),
    )


def build_roi_heads(cfg: CfgNode, shapes: dict[str, FeatureShape]) -> StandardROIHeads:
    """Build what MODEL.ROI_HEADS.NAME names.

    Raises:
        ValueError: if a key asks for what is not there.
    """
    name = cfg.MODEL.ROI_HEADS.NAME
    return choose("MODEL.ROI_HEADS.NAME", name, {"StandardROIHeads": StandardROIHeads})(cfg, shapes)
