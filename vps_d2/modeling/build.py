"""Building models as this project runs them."""

from typing import Any

import torch
from torch import nn

from vps_d2.d2 import modeling
from vps_d2.d2.config import CfgNode
from vps_d2.d2.modeling.poolers import ROIPooler
from vps_d2.d2.utils import comm
from vps_d2.data.metadata import find_taxonomy
from vps_d2.io.errors import UserError
from vps_d2.modeling.batch import batch_mean
from vps_d2.modeling.precision import log_precision, use_channels_last, wants_channels_last
from vps_d2.modeling.tasks import check_architecture

# The keys of MODEL that hold the number of classes of an architecture.
_CLASS_HEADS = {"GeneralizedRCNN": "ROI_HEADS", "VideoMaskFormer": "SEM_SEG_HEAD"}


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the architecture that MODEL describes, with random weights, on MODEL.DEVICE.

    Detectron2's function, with three additions: the memory format is that of
    :func:`wants_channels_last`; boxes are pooled in single precision, as Detectron2 rounds boxes to
    the number format of the features, in bfloat16 to whole pixels from 128 on; and the losses of
    boxes and masks are means over the proposals of all processes, not of each.
    """
    model: nn.Module = modeling.build_model(cfg)
    for module in model.modules():
        if isinstance(module, ROIPooler):
            module.register_forward_pre_hook(_in_single_precision)
    if isinstance(heads := getattr(model, "roi_heads", None), nn.Module):
        heads.register_forward_hook(_losses_of_batch)
    log_precision(cfg)
    return use_channels_last(model) if wants_channels_last(cfg) else model


def _in_single_precision(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    features, boxes = args
    return [feature.float() for feature in features], boxes


def _losses_of_batch(heads: Any, args: tuple[Any, ...], output: Any) -> Any:
    """Return the sampled proposals and the losses, as means over those of all processes."""
    proposals, losses = output
    if not heads.training or not proposals or comm.get_world_size() == 1:
        return output
    classes = torch.cat([each.gt_classes for each in proposals])
    objects = ((classes >= 0) & (classes < heads.num_classes)).sum()
    counts = {"loss_cls": len(classes), "loss_box_reg": len(classes), "loss_mask": int(objects)}
    return proposals, {
        name: batch_mean(loss, counts[name]) if name in counts else loss
        for name, loss in losses.items()
    }


def _check_classes(cfg: CfgNode) -> None:
    """Check that Detectron2's key for the number of classes agrees with the taxonomy."""
    taxonomy = find_taxonomy(cfg)
    head = _CLASS_HEADS.get(cfg.MODEL.META_ARCHITECTURE)
    if head is None or taxonomy is None:
        return
    count, stated = len(taxonomy.thing_classes), cfg.MODEL[head].NUM_CLASSES
    if count != stated:
        raise UserError(
            f"MODEL.{head}.NUM_CLASSES is {stated}, but the data has {count} object classes; set "
            f"it to {count}."
        )


def check_model(cfg: CfgNode) -> None:
    """Check that a configuration describes a single model that can be built here.

    Raises:
        UserError: if it describes a pipeline, its architecture or device does not exist, or its
            number of classes is not that of the data.
    """
    if cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        raise UserError(
            "the configuration describes a pipeline, for vps-d2 predict; give that of a single "
            f"model, such as its segmenter, {cfg.PIPELINE.SEGMENTER.CONFIG_FILE}."
        )
    check_architecture(cfg.MODEL.META_ARCHITECTURE)
    _check_classes(cfg)
    device = torch.device(cfg.MODEL.DEVICE)
    if (device.index or 0) >= _count_devices(device.type):
        raise UserError(
            f'MODEL.DEVICE is "{cfg.MODEL.DEVICE}", but PyTorch sees no such GPU here; '
            "use MODEL.DEVICE cpu."
        )


def _count_devices(kind: str) -> int:
    """Return the number of devices of a kind."""
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    counts = {"cuda": torch.cuda.device_count, "xpu": torch.xpu.device_count}
    return counts[kind]() if kind in counts else 1
