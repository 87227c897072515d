"""Tracks of a batch of videos, as tensors.

Shapes: ``N`` videos, ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from vps_d2.data.silhouettes import NUM_MEASURES
from vps_d2.data.tracks import MAX_OBJECTS, measure_tracks
from vps_d2.data.vps import COLORS, MATERIALS, SHAPES

NUM_KINDS = len(SHAPES) + len(MATERIALS)
"""Numbers that :func:`one_hot_kinds` gives."""


class Tracks(NamedTuple):
    """Objects of videos, as their masks show them.

    Attributes:
        class_ids: int64 ``(N, K)``, class numbers, 0 where a video has no more objects.
        measures: float32 ``(N, K, T, 10)``; see :mod:`vps_d2.data.silhouettes`.
    """

    class_ids: torch.Tensor
    measures: torch.Tensor

    @property
    def seen(self) -> torch.Tensor:
        """In which frames each object is seen, bool ``(N, K, T)``."""
        return self.measures[..., 0] > 0

    @property
    def places(self) -> torch.Tensor:
        """Where objects were measured, ``(N, K, T, 2)`` in meters; 0 where not seen."""
        return self.measures[..., 1:3]

    @property
    def orientations(self) -> torch.Tensor:
        """Cosine and sine of four times the angle of cubes, shorter if unsure, ``(N, K, T, 2)``."""
        return self.measures[..., 3:5]

    def covariances(self, floor: float = 0.0) -> torch.Tensor:
        """Return those of the places, ``(N, K, T, 2, 2)`` in square meters.

        Args:
            floor: standard deviation in meters that is added.
        """
        xx, xy, yy = self.measures[..., 5:8].unbind(-1)
        return torch.stack([xx + floor**2, xy, xy, yy + floor**2], dim=-1).unflatten(-1, (2, 2))


def masks_to_tracks(videos: Sequence[torch.Tensor]) -> Tracks:
    """Read tracks from masks, on the CPU.

    Args:
        videos: uint8 ``(T, H, W)`` each, class numbers 0-48, all of one shape; at least one.
    """
    num_frames = videos[0].shape[0]
    class_ids = torch.zeros(len(videos), MAX_OBJECTS, dtype=torch.long)
    measures = torch.zeros(len(videos), MAX_OBJECTS, num_frames, NUM_MEASURES)
    for index, masks in enumerate(videos):
        found, measured = measure_tracks(masks.cpu().numpy())
        class_ids[index, : len(found)] = torch.from_numpy(found)
        measures[index, : len(found)] = torch.from_numpy(measured)
    return Tracks(class_ids, measures)


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
