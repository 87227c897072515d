"""Warping masks along the optical flow from one frame to the next (DIS, arXiv 1603.03590)."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F


def backward_flow(picture: np.ndarray, last: np.ndarray) -> torch.Tensor:
    """Return where each pixel of a picture was in the picture before.

    Args:
        picture: uint8 RGB ``(H, W, 3)``.
        last: the picture before, of the same size.

    Returns:
        float32 ``(2, H, W)``: the step to that place, x and y, in pixels. It is zero for pictures
        that are too small for the method.
    """
    if min(picture.shape[:2]) < 16:
        return torch.zeros(2, *picture.shape[:2])
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    gray, last_gray = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (picture, last))
    flow: np.ndarray = method.calc(gray, last_gray, None)  # type: ignore[call-overload]
    return torch.from_numpy(flow).permute(2, 0, 1)


def warp(masks: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Move the masks of the last frame to where their pixels are now.

    Args:
        masks: ``(K, C, H, W)``.
        flow: from :func:`backward_flow`, ``(K, 2, H, W)`` or ``(1, 2, H, W)``.

    Returns:
        ``(K, C, H, W)``; beyond the border the last frame goes on as at its border.
    """
    height, width = masks.shape[-2:]
    rows = torch.arange(height, device=masks.device)[:, None]
    columns = torch.arange(width, device=masks.device)
    x = (columns + flow[:, 0]) * (2 / max(width - 1, 1)) - 1
    y = (rows + flow[:, 1]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack([x, y], -1).to(masks.dtype).expand(len(masks), -1, -1, -1)
    return F.grid_sample(masks, grid, padding_mode="border", align_corners=True)
