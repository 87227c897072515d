"""Mask R-CNN as one model."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.modeling.backbone import build_pyramid
from vps_d2.d2.embedded.modeling.build import META_ARCH_REGISTRY
from vps_d2.d2.embedded.modeling.postprocessing import detector_postprocess
from vps_d2.d2.embedded.modeling.proposal_generator import build_proposal_generator
from vps_d2.d2.embedded.modeling.roi_heads import build_roi_heads
from vps_d2.d2.embedded.structures import ImageList, Instances

__all__ = ["GeneralizedRCNN"]

Batch = Sequence[dict[str, Any]]


@META_ARCH_REGISTRY.register()
class GeneralizedRCNN(nn.Module):
    """Backbone, proposals, heads.

    Args:
        cfg: with the MODEL keys.

    Raises:
        ValueError: if a key asks for what is not there.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.backbone = build_pyramid(cfg)
        self.proposal_generator = build_proposal_generator(cfg, self.backbone.shapes)
        self.roi_heads = build_roi_heads(cfg, self.backbone.shapes)
        for name, values in (("mean", cfg.MODEL.PIXEL_MEAN), ("std", cfg.MODEL.PIXEL_STD)):
            column = torch.tensor(values).view(-1, 1, 1)
            self.register_buffer(f"pixel_{name}", column, persistent=False)

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return self.get_buffer("pixel_mean").device

    def forward(self, batched_inputs: Batch) -> dict[str, torch.Tensor] | list[dict[str, Any]]:
        """Compute the losses of a batch, or detect objects in it.

        Args:
            batched_inputs: dicts with ``image`` (3, H, W), 0-255 in the channel order of
                INPUT.FORMAT; in training ``instances`` with gt_boxes, gt_classes and gt_masks; in
                inference, if the result is to be of another size, ``height`` and ``width``.

        Returns:
            in training losses by name; else for each image ``{"instances": Instances}`` with
            pred_boxes, scores, pred_classes and pred_masks, bool (N, height, width).
        """
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        targets = [entry["instances"].to(self.device) for entry in batched_inputs]
        features = self.backbone(images.tensor)
        proposals, losses = self.proposal_generator(images, features, targets)
        _, head_losses = self.roi_heads(images, features, proposals, targets)
        return {**head_losses, **losses}

    def inference(self, batched_inputs: Batch) -> list[dict[str, Instances]]:
        """Detect objects.

        Args:
            batched_inputs: as for ``forward``.

        Returns:
            for each image ``{"instances": Instances}``; nothing for an empty batch.
        """
        if not batched_inputs:
            return []
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        proposals, _ = self.proposal_generator(images, features)
        results: list[Instances] = self.roi_heads(images, features, proposals)[0]
        outputs = []
        for entry, result, size in zip(batched_inputs, results, images.image_sizes, strict=True):
            height, width = entry.get("height", size[0]), entry.get("width", size[1])
            outputs.append({"instances": detector_postprocess(result, height, width)})
        return outputs

    def preprocess_image(self, batched_inputs: Batch) -> ImageList:
        """Normalize images, and pad them to a common size."""
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        images = [(entry["image"].to(self.device) - mean) / std for entry in batched_inputs]
        return ImageList.from_tensors(images, self.backbone.size_divisibility)
