"""Masks compared at points instead of all pixels (PointRend, arXiv 1912.08193, section 3).

Shapes: ``R`` masks, ``P`` points, ``H`` rows, ``W`` columns. Points are x, y from 0 to 1, the edges
of a mask, so that masks of two resolutions are read at the same places.
"""

import torch
import torch.nn.functional as F


def read_points(masks: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Read masks between their pixels.

    Args:
        masks: ``(R, H, W)``.
        points: ``(R, P, 2)``, or ``(1, P, 2)`` for the same ones in every mask.

    Returns:
        float32 ``(R, P)``.
    """
    if not len(masks):
        return masks.new_zeros(0, points.shape[1], dtype=torch.float32)
    if len(points) == 1:
        # One picture with a channel per mask is read faster than many pictures.
        read = F.grid_sample(masks[None].float(), 2 * points[:, None] - 1, align_corners=False)
        return read[0, :, 0]
    read = F.grid_sample(masks[:, None].float(), 2 * points[:, None] - 1, align_corners=False)
    return read[:, 0, 0]


def draw_uncertain_points(
    logits: torch.Tensor, count: int, oversample: float, share: float
) -> torch.Tensor:
    """Draw random points, most of them where a predicted mask is uncertain.

    Args:
        logits: of the masks, ``(R, H, W)``.
        count: ``P``.
        oversample: candidates per point.
        share: of the points that are the most uncertain candidates; the others are random.

    Returns:
        ``(R, P, 2)``.
    """
    size = len(logits)
    candidates = torch.rand(size, int(count * oversample), 2, device=logits.device)
    num_uncertain = int(share * count)
    values = -read_points(logits, candidates).abs()
    chosen = values.topk(num_uncertain, dim=1).indices
    uncertain = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    rest = torch.rand(size, count - num_uncertain, 2, device=logits.device)
    return torch.cat([uncertain, rest], dim=1)
