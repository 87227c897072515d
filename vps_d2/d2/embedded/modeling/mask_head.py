"""Outline of a detected object (arXiv 1703.06870).

Shapes: R boxes, K classes, C channels, M the side of a mask.
"""

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.modeling.layers import Conv2d
from vps_d2.d2.embedded.structures import Instances
from vps_d2.d2.embedded.utils.events import get_event_storage

__all__ = ["MaskRCNNConvUpsampleHead"]


class MaskRCNNConvUpsampleHead(nn.Module):
    """Convolutions, upsampling by two, and one mask for each class or one for all.

    Args:
        cfg: with the keys of MODEL.ROI_MASK_HEAD and ROI_HEADS.
        channels: of the input.
    """

    def __init__(self, cfg: CfgNode, channels: int) -> None:
        super().__init__()
        keys = cfg.MODEL.ROI_MASK_HEAD
        self.convs: list[str] = []
        for number in range(1, keys.NUM_CONV + 1):
            conv = Conv2d(channels, keys.CONV_DIM, 3, norm=keys.NORM, relu=True)
            weight_init.c2_msra_fill(conv)
            self.convs.append(f"mask_fcn{number}")
            self.add_module(self.convs[-1], conv)
            channels = keys.CONV_DIM
        self.deconv = nn.ConvTranspose2d(channels, keys.CONV_DIM, kernel_size=2, stride=2)
        weight_init.c2_msra_fill(self.deconv)
        masks = 1 if keys.CLS_AGNOSTIC_MASK else cfg.MODEL.ROI_HEADS.NUM_CLASSES
        self.predictor = nn.Conv2d(keys.CONV_DIM, masks, kernel_size=1)
        nn.init.normal_(self.predictor.weight, std=0.001)
        if self.predictor.bias is not None:
            nn.init.zeros_(self.predictor.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From features (R, C, M / 2, M / 2) to logits (R, 1 or K, M, M)."""
        for name in self.convs:
            x = self.get_submodule(name)(x)
        return self.predictor(F.relu(self.deconv(x)))

    def losses(self, logits: torch.Tensor, proposals: list[Instances]) -> dict[str, torch.Tensor]:
        """Return "loss_mask" of foreground proposals, which have gt_classes and gt_masks."""
        filled = [proposal for proposal in proposals if len(proposal)]
        if not filled:
            return {"loss_mask": logits.sum() * 0.0}
        classes = torch.cat([proposal.gt_classes for proposal in filled])
        targets = torch.cat(
            [
                proposal.gt_masks.crop_and_resize(proposal.proposal_boxes.tensor, logits.shape[-1])
                for proposal in filled
            ]
        )
        chosen = _of_classes(logits, classes)[:, 0]
        _log_accuracy(chosen, targets)
        loss = F.binary_cross_entropy_with_logits(chosen.float(), targets.float())
        return {"loss_mask": loss}

    @staticmethod
    def inference(logits: torch.Tensor, instances: list[Instances]) -> None:
        """Add ``pred_masks``, probabilities (N, 1, M, M), to the detections of each image."""
        classes = torch.cat([image.pred_classes for image in instances])
        masks = _of_classes(logits, classes).sigmoid()
        counts = [len(image) for image in instances]
        for image, mask in zip(instances, masks.split(counts), strict=True):
            image.pred_masks = mask


def _of_classes(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return the mask (R, 1, M, M) of each box's class."""
    if logits.shape[1] == 1:
        return logits
    return logits[torch.arange(len(logits), device=logits.device), classes][:, None]


def _log_accuracy(logits: torch.Tensor, targets: torch.Tensor) -> None:
    """Log how many pixels of the masks are right."""
    predicted = logits > 0
    wrong = predicted != targets
    storage = get_event_storage()
    positive = max(int(targets.sum()), 1)
    negative = max(targets.numel() - int(targets.sum()), 1)
    storage.put_scalar("mask_rcnn/accuracy", 1 - float(wrong.float().mean()))
    storage.put_scalar("mask_rcnn/false_positive", int((wrong & ~targets).sum()) / negative)
    storage.put_scalar("mask_rcnn/false_negative", int((wrong & targets).sum()) / positive)
