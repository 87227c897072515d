"""Tracks of a batch of videos, as tensors.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from vps_d2.data.tracks import MAX_OBJECTS, NUM_MEASURES, read_outlines
from vps_d2.data.vps import COLORS, MATERIALS, SHAPES

NUM_KINDS = len(SHAPES) + len(MATERIALS)
"""Numbers that :func:`one_hot_kinds` gives."""


class Tracks(NamedTuple):
    """Objects of videos, as their masks show them.

    Attributes:
        class_ids: int64 ``(N, K)``, class numbers, 0 where a video has no more objects.
        outlines: float32 ``(N, K, T, 7)``; see :mod:`vps_d2.data.tracks`.
        aspect: height of the pictures in widths.
    """

    class_ids: torch.Tensor
    outlines: torch.Tensor
    aspect: float

    @property
    def seen(self) -> torch.Tensor:
        """In which frames each object is seen, bool ``(N, K, T)``."""
        return self.outlines[..., 0] > 0


def masks_to_tracks(videos: Sequence[torch.Tensor]) -> Tracks:
    """Read tracks from masks, on the CPU.

    Args:
        videos: uint8 ``(T, H, W)`` each, class numbers 0-48, all of one shape; at least one.
    """
    num_frames, height, width = videos[0].shape
    class_ids = torch.zeros(len(videos), MAX_OBJECTS, dtype=torch.long)
    outlines = torch.zeros(len(videos), MAX_OBJECTS, num_frames, NUM_MEASURES)
    for index, masks in enumerate(videos):
        found, measured = read_outlines(masks.cpu().numpy())
        class_ids[index, : len(found)] = torch.from_numpy(found)
        outlines[index, : len(found)] = torch.from_numpy(measured)
    return Tracks(class_ids, outlines, height / width)


def shape_index(class_ids: torch.Tensor) -> torch.Tensor:
    """Return which of the shapes {cube, sphere, cylinder} classes have, int64, 0-2."""
    objects = (class_ids - 1).clamp(min=0)
    return torch.div(objects, len(MATERIALS) * len(COLORS), rounding_mode="floor")


def one_hot_kinds(class_ids: torch.Tensor) -> torch.Tensor:
    """Return shape and material of classes, float ``(..., 5)``; color does not affect motion."""
    objects = (class_ids - 1).clamp(min=0)
    material = torch.div(objects, len(COLORS), rounding_mode="floor") % len(MATERIALS)
    shape = F.one_hot(shape_index(class_ids), len(SHAPES))
    return torch.cat([shape, F.one_hot(material, len(MATERIALS))], dim=-1).float()
