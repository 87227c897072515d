"""Difference-aware fusion of masks, as in MiVOS (arXiv 2103.07941, section 3.3).

Between two frames that the user touched, a frame has a mask by the earlier propagation and one by
the later propagation, which began at the frame that was corrected. A small network says which to
believe where. It knows what the user changed: what was added to and taken from the mask of the
corrected frame is carried over to the frame by the affinity of their keys.

Shapes: ``K`` objects, ``C`` channels of a key, ``M`` cells of the corrected frame, ``Q`` cells of
the frame to fuse, ``H`` rows, ``W`` columns; a cell has a side of ``stride`` pixels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.vos.matching import similarity
from vps_d2.modeling.vos.network import KEY_CHANNELS

# Picture, earlier mask, later mask, what was added and taken, and two distances.
_INPUTS = 3 + 1 + 1 + 2 + 2


class FusionNetwork(nn.Module):
    """Two masks of an object to one.

    Its parameters are named as in the public ``fusion.pth`` and ``fusion_stcn.pth``.

    Args:
        channels: of all layers but the first and the last.
        blends: learn in each pixel which of the two masks to believe, so that the result lies
            between them; the published network learns the mask itself.
    """

    def __init__(self, *, channels: int = 32, blends: bool = False) -> None:
        super().__init__()
        self.blends = blends
        self.conv1 = nn.Sequential(nn.Conv2d(_INPUTS, channels, 3, padding=1), nn.ReLU())
        self.conv2 = _branch(channels)
        self.conv3 = _branch(channels)
        self.final_conv = nn.Conv2d(channels, 1, 3, padding=1)
        if blends:  # it begins with the later mask, mostly
            nn.init.normal_(self.final_conv.weight, std=1e-3)
            nn.init.constant_(self.final_conv.bias, 2.0)  # type: ignore[arg-type]

    def forward(
        self,
        frames: torch.Tensor,
        masks: torch.Tensor,
        attention: torch.Tensor,
        distances: torch.Tensor,
    ) -> torch.Tensor:
        """Fuse the masks of objects.

        Args:
            frames: normalized, that of each object, ``(K, 3, H, W)``.
            masks: the earlier and the later one, ``(K, 2, H, W)`` in 0-1.
            attention: from :func:`carry_over`, ``(K, 2, H, W)``.
            distances: in frames, to the other touched frame and to the corrected one, as shares of
                the distance between these, ``(K, 2)``.

        Returns:
            probabilities float32 ``(K, H, W)``, each as if there were no other object.
        """
        size = frames.shape[-2:]
        places = distances[..., None, None].expand(-1, -1, *size)
        x = self.conv1(torch.cat([frames, masks, attention, places], 1))
        x = F.relu(x + self.conv2(x))
        x = F.relu(x + self.conv3(x))
        found = self.final_conv(x)[:, 0].float().sigmoid()
        if not self.blends:
            return found
        return masks[:, 0] + found * (masks[:, 1] - masks[:, 0])


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


def changes(before: torch.Tensor, after: torch.Tensor, stride: int) -> torch.Tensor:
    """Return what a correction added to masks and took from them, in each cell.

    Args:
        before: ``(K, H, W)`` in 0-1.
        after: likewise.
        stride: the side of a cell, of which ``H`` and ``W`` are multiples.

    Returns:
        ``(K, 2, M)``.
    """
    change = after - before
    return F.avg_pool2d(torch.stack([change, -change], 1).clamp(0, 1), stride).flatten(2)


def carry_over(
    changed: torch.Tensor,
    touched_key: torch.Tensor,
    key: torch.Tensor,
    cells: tuple[int, int],
    stride: int,
) -> torch.Tensor:
    """Carry over the changes in a corrected frame to another frame, by the affinity of keys.

    Args:
        changed: from :func:`changes`, ``(K, 2, M)``.
        touched_key: of the corrected frame, ``(C, M)``.
        key: of the other frame, ``(C, Q)``.
        cells: rows and columns of the other frame's cells.
        stride: the side of a cell in pixels.

    Returns:
        ``(K, 2, H, W)``, 0 where nothing was changed in what looks like this.
    """
    weights = similarity(touched_key[None], key[None], KEY_CHANNELS)[0].softmax(1)  # (Q, M)
    carried = (changed.to(weights.dtype) @ weights.T).unflatten(2, cells)
    return F.interpolate(carried, scale_factor=stride, mode="bilinear", align_corners=False)


def build_fusion() -> FusionNetwork:
    """Build the published network, with random weights."""
    return FusionNetwork()


def build_small_fusion() -> FusionNetwork:
    """Build the network for CPUs, with random weights: half the channels, and it blends."""
    return FusionNetwork(channels=16, blends=True)


FUSION_NETWORKS: dict[str, Callable[[], FusionNetwork]] = {
    "fusion": build_fusion,
    "small": build_small_fusion,
}
"""The networks by their names in MODEL.FUSION.NETWORK."""
