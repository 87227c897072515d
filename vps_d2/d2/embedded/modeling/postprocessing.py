"""From detections on a network's input to those on the picture that the user gave."""

import torch
import torch.nn.functional as F

from vps_d2.d2.embedded.structures import Boxes, Instances

__all__ = ["detector_postprocess", "paste_masks"]


def detector_postprocess(results: Instances, height: int, width: int) -> Instances:
    """Scale detections to a picture, leave out empty boxes, and paste the masks.

    Args:
        results: with ``pred_boxes`` and soft ``pred_masks`` (N, 1, M, M), if any.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        detections whose ``pred_masks`` are bool (N, height, width).
    """
    rows, columns = results.image_size
    fields = results.get_fields()
    boxes = fields["pred_boxes"].clone()
    boxes.scale(width / columns, height / rows)
    boxes.clip((height, width))
    scaled = Instances((height, width), **{**fields, "pred_boxes": boxes})[boxes.nonempty()]
    if scaled.has("pred_masks"):
        soft = scaled.pred_masks[:, 0]
        fields = scaled.get_fields()
        fields["pred_masks"] = paste_masks(soft, scaled.pred_boxes, height, width)
        scaled = Instances((height, width), **fields)
    return scaled


def paste_masks(
    masks: torch.Tensor, boxes: Boxes, height: int, width: int, threshold: float = 0.5
) -> torch.Tensor:
    """Draw each mask into its box.

    Args:
        masks: probabilities (N, M, M).
        boxes: N of them, inside the picture.
        height: rows of the picture.
        width: columns of the picture.
        threshold: least probability of pixels that belong to the object.

    Returns:
        bool (N, height, width).
    """
    pasted = torch.zeros(len(masks), height, width, dtype=torch.bool, device=masks.device)
    for mask, box, picture in zip(masks.float(), boxes.tensor, pasted, strict=True):
        left, top = (int(value) for value in (box[:2].floor() - 1).clamp(min=0))
        right, bottom = (int(value) for value in box[2:].ceil() + 1)
        right, bottom = min(right, width), min(bottom, height)
        # Positions of the centers of the picture's pixels in the mask, whose box is from -1 to 1.
        x = torch.arange(left, right, device=masks.device, dtype=torch.float32) + 0.5
        y = torch.arange(top, bottom, device=masks.device, dtype=torch.float32) + 0.5
        x = (x - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (y - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        sampled = F.grid_sample(mask[None, None], grid[None], align_corners=False)
        picture[top:bottom, left:right] = sampled[0, 0] >= threshold
    return pasted
