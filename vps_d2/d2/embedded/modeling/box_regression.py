"""Boxes as offsets from other boxes (arXiv 1506.01497), and losses of them."""

import math

import torch
from fvcore.nn import giou_loss, smooth_l1_loss

from vps_d2.d2.embedded.modeling.layers import choose

__all__ = ["BoxCoder"]

# An object is never predicted to be more than 62 times as large as its box.
_MAX_LOG_SCALE = math.log(1000.0 / 16)


class BoxCoder:
    """Offsets between boxes, and the loss of predicted offsets.

    Args:
        weights: factors of the offsets of center x, center y, width and height.
        loss: "smooth_l1" of the offsets, or "giou" of the boxes.
        beta: where smooth L1 turns from a parabola to a line.
        key: the configuration key of ``loss``, for errors.

    Raises:
        ValueError: if the loss is unknown.
    """

    def __init__(
        self,
        weights: tuple[float, float, float, float],
        *,
        loss: str = "smooth_l1",
        beta: float = 0.0,
        key: str = "BBOX_REG_LOSS_TYPE",
    ) -> None:
        self.weights = tuple(weights)
        self.beta = beta
        self._loss = choose(key, loss, {"smooth_l1": self._smooth_l1, "giou": self._giou})

    def encode(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the offsets (N, 4) that lead from source boxes (N, 4) to target boxes (N, 4)."""
        center, size = _center_and_size(source)
        target_center, target_size = _center_and_size(target)
        weights = source.new_tensor(self.weights)
        shift = (target_center - center) / size
        return weights * torch.cat([shift, (target_size / size).log()], dim=1)

    def decode(self, offsets: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Return boxes float32 (N, 4 * K) from offsets (N, 4 * K) and source boxes (N, 4)."""
        offsets = offsets.float()
        center, size = _center_and_size(source.to(offsets.dtype))
        # Not view(len(offsets), -1, 4): without any box, -1 would be ambiguous.
        offsets = offsets.unflatten(1, (-1, 4)) / offsets.new_tensor(self.weights)
        new_center = offsets[..., :2] * size[:, None] + center[:, None]
        new_size = offsets[..., 2:].clamp(max=_MAX_LOG_SCALE).exp() * size[:, None]
        corners = torch.cat([new_center - 0.5 * new_size, new_center + 0.5 * new_size], dim=-1)
        return corners.flatten(1)

    def loss(
        self, source: torch.Tensor, offsets: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Return the summed loss of offsets (N, 4) from source boxes to target boxes (N, 4)."""
        return self._loss(source, offsets, target)

    def _smooth_l1(
        self, source: torch.Tensor, offsets: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        wanted = self.encode(source, target)
        return smooth_l1_loss(offsets.float(), wanted, beta=self.beta, reduction="sum")

    def _giou(
        self, source: torch.Tensor, offsets: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        return giou_loss(self.decode(offsets, source), target, reduction="sum")


def _center_and_size(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + 0.5 * size, size
