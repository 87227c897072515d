"""Instances found by torchvision's Mask R-CNN for COCO.

Shapes: ``N`` frames, ``K`` instances, ``H`` rows, ``W`` columns.
"""

from pathlib import Path

import numpy as np
import torch
from torchvision.models import detection

from vps_d2.d2.structures import Instances
from vps_d2.data.coco import COCO_TAXONOMY, class_of_category
from vps_d2.data.mappers import to_tensor
from vps_d2.inference.instance_models import InstanceModel, make_instances
from vps_d2.inference.models import hash_model
from vps_d2.io.checkpoints import find_weights, read_checkpoint
from vps_d2.io.download import fetch_weights
from vps_d2.io.errors import UserError

__all__ = ["CocoModel", "load_coco_model"]

_NUM_CATEGORIES = 91  # COCO's numbers, with those that it does not use
_LICENSE = (
    "The weights are torchvision's, trained on COCO; they may be subject to the terms of that data "
    "set."
)
_SHORT_SIDE, _LONG_SIDE = 800, 1333  # of the training
_GPU_BATCH = 4


def load_coco_model(
    device: str = "cpu", threshold: float = 0.5, short_side: int | None = None
) -> "CocoModel":
    """Load torchvision's Mask R-CNN R50-FPN v2 with its COCO weights.

    They are kept where torchvision keeps them, and downloaded if they are not there.

    Args:
        device: that computes.
        threshold: instances with a lower score are left out.
        short_side: pixels of the shorter side of the model's input; None for 800.

    Raises:
        UserError: if the weights cannot be downloaded, or the file is damaged or of another model.
    """
    address = detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
    name = address.rpartition("/")[2]
    path = fetch_weights(address, path=Path(torch.hub.get_dir(), "checkpoints", name))
    network = build_network(threshold, short_side)
    weights = find_weights(read_checkpoint(path), path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"checkpoint {path} has the weights of another model, not those of torchvision's Mask "
            "R-CNN R50-FPN v2; remove it, so that the right one is downloaded."
        ) from error
    return CocoModel(network.to(device), device=device, threshold=threshold, source=name)


def build_network(threshold: float, short_side: int | None = None) -> detection.MaskRCNN:
    """Build Mask R-CNN R50-FPN v2 with random weights.

    Args:
        threshold: instances with a lower score are left out.
        short_side: pixels of the shorter side of its input; None for 800.
    """
    side = short_side or _SHORT_SIDE
    network: detection.MaskRCNN = detection.maskrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        num_classes=_NUM_CATEGORIES,
        min_size=side,
        max_size=max(_LONG_SIDE, round(_LONG_SIDE * side / _SHORT_SIDE)),
        box_score_thresh=threshold,
    )
    return network.eval()


class CocoModel(InstanceModel):
    """A detector of torchvision with COCO's 91 category numbers.

    Args:
        network: from :func:`build_network`, on the device.
        device: that computes.
        threshold: instances with a lower score are left out.
        source: of the weights.
    """

    taxonomy = COCO_TAXONOMY
    license_note = _LICENSE

    def __init__(
        self, network: detection.MaskRCNN, *, device: str, threshold: float, source: str
    ) -> None:
        self.network = network
        self.device = device
        self.threshold = threshold
        self.source = f"torchvision maskrcnn_resnet50_fpn_v2 with {source}"
        self.batch_size = 1 if torch.device(device).type == "cpu" else _GPU_BATCH

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in frames uint8 RGB ``(N, H, W, 3)``."""
        images = to_tensor(frames).to(self.device).float() / 255
        outputs = self.network(list(images))
        return [self._convert(output, images.shape[-2:]) for output in outputs]

    def _convert(self, output: dict[str, torch.Tensor], size: torch.Size) -> Instances:
        classes = torch.from_numpy(class_of_category(output["labels"].cpu().numpy()))
        known = classes >= 0
        masks = output["masks"][:, 0].cpu()[known] >= 0.5
        scores = output["scores"].cpu()[known]
        return make_instances((size[0], size[1]), masks, classes[known], scores, self.threshold)

    def fingerprint(self) -> str:
        """Return a hash of weights and settings."""
        transform = self.network.transform
        settings = (self.threshold, tuple(transform.min_size), transform.max_size)
        return hash_model(repr(settings), self.network)
