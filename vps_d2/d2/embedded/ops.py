"""torchvision's operations on boxes, imported when one of them is first used.

torchvision imports all of its modules at once, and ``torch._dynamo`` with them, which takes as long
as importing PyTorch. Only Mask R-CNN needs it.
"""

from typing import Any

import torch

__all__ = ["batched_nms", "roi_align"]


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """Choose the best of overlapping boxes of the same group.

    Args:
        boxes: float32 (N, 4), left, top, right, bottom.
        scores: (N,).
        groups: integer (N,).
        iou_threshold: overlap from which the box with the lower score is dropped.

    Returns:
        indices of the boxes that are kept, best first, int64.
    """
    from torchvision import ops

    return ops.batched_nms(boxes, scores, groups, iou_threshold)


def roi_align(
    features: torch.Tensor, regions: torch.Tensor, output_size: int, **kwargs: Any
) -> torch.Tensor:
    """Cut boxes out of maps with half-pixel offsets ("aligned"), and resize them.

    Args:
        features: (N, C, H, W).
        regions: (R, 5): the number of the map, left, top, right, bottom.
        output_size: side of a result in samples.
        kwargs: ``spatial_scale`` and ``sampling_ratio`` of ``torchvision.ops.roi_align``.

    Returns:
        (R, C, output_size, output_size).
    """
    from torchvision import ops

    return ops.roi_align(features, regions, output_size, aligned=True, **kwargs)
