"""The mapper of generated tracks, for the models of objects.

Shapes: ``K`` objects, ``T_in`` input frames, ``F`` all frames, ``Q`` points.
"""

import functools
import math
from typing import Any

import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.data.datasets import Record
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, FutureMasksMapper
from vps_d2.data.tracks import TRACKS, check_tracks, open_tracks
from vps_d2.data.video import FaultError

_DEGREES = 3
"""Of freedom of the noise: errors are mostly small, but sometimes large."""


@DATASET_MAPPER_REGISTRY.register()
class TracksMapper:
    """Tracks to train on; in inference the masks of videos, as :class:`FutureMasksMapper`.

    Args:
        is_train: read tracks, not videos.
        evaluation: mapper of the videos; None in training.
        noise: largest noise on the places, in the standard deviations that were measured with them;
            each video draws a value up to it.
        max_missed: largest share of the frames in which an object is missed, drawn in the same way.
        flip: share of the videos that are mirrored.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        evaluation: FutureMasksMapper | None = None,
        noise: float = 0.5,
        max_missed: float = 0.06,
        flip: float = 0.5,
    ) -> None:
        self.is_train = is_train
        self.evaluation = evaluation
        self.noise = noise
        self.max_missed = max_missed
        self.flip = flip

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.INPUT.TRACK_NOISE
        return {
            "is_train": is_train,
            "evaluation": None if is_train else FutureMasksMapper(cfg, is_train=False),
            "noise": keys.PLACE,
            "max_missed": keys.MISSED_FRAME,
            "flip": 0.5 if cfg.INPUT.RANDOM_FLIP == "horizontal" else 0.0,
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read and augment one video.

        Args:
            record: of a data set of tracks; in inference of labeled videos.

        Returns:
            the fields of ``vps_d2.data.tracks.TRACKS`` as tensors: ``class_ids`` int64 ``(K,)``,
            ``measures`` float32 ``(K, T_in, 10)``, ``places``, ``velocities`` and ``orientations``
            ``(K, F, 2)``, ``spins`` ``(K, F)``, ``masses`` ``(K,)``, ``points`` ``(K, Q, 2)``,
            ``inside`` int64 ``(K, Q)`` and ``points_frame``, int.

        Raises:
            FaultError: if a value in the tracks is impossible.
        """
        if self.evaluation is not None:
            return self.evaluation(record)
        tracks = _open(record["tracks_file_name"])[record["row"]]
        try:
            check_tracks(tracks)
        except ValueError as error:
            raise FaultError(
                record["tracks_file_name"], f"video {record['row']}: {error}", "make it again"
            ) from error
        sample = {name: np.array(tracks[name]) for name in TRACKS.names or ()}
        if np.random.uniform() < self.flip:
            _mirror(sample)
        sample["measures"] = self._add_noise(sample["measures"])
        for name in ("class_ids", "inside"):
            sample[name] = sample[name].astype(np.int64)
        tensors: dict[str, Any] = {
            name: torch.from_numpy(value) for name, value in sample.items() if value.ndim
        }
        tensors["points_frame"] = int(sample["points_frame"])
        if "stream_position" in record:
            tensors["stream_position"] = record["stream_position"]
        return tensors

    def _add_noise(self, measures: np.ndarray) -> np.ndarray:
        """Return measures with larger errors, which their covariances tell of."""
        seen = measures[..., :1] > 0
        strength = np.random.uniform(0, self.noise)
        xx, xy, yy = np.moveaxis(measures[..., 5:8], -1, 0)
        first = np.sqrt(np.maximum(xx, 1e-8))
        mixed = xy / first
        second = np.sqrt(np.maximum(yy - mixed**2, 0))
        shape = (2, *measures.shape[:2])
        frame = np.random.standard_t(_DEGREES, size=shape)
        video = np.random.standard_t(_DEGREES, size=(*shape[:2], 1))
        across, down = strength * (frame + video) / math.sqrt(2)
        noisy = measures.copy()
        noisy[..., 1] += first * across
        noisy[..., 2] += mixed * across + second * down
        noisy[..., 5:8] *= 1 + strength**2
        missed = np.random.uniform(size=seen.shape) < np.random.uniform(0, self.max_missed)
        return (noisy * (seen & ~missed)).astype(np.float32)


@functools.cache
def _open(path: str) -> np.ndarray:
    return open_tracks(path)


def _mirror(sample: dict[str, np.ndarray]) -> None:
    """Swap left and right, in place."""
    # Place across, sine of the angle, covariance of across and along.
    sample["measures"][..., [1, 4, 6]] *= -1
    for name in ("places", "velocities", "points"):
        sample[name][..., 0] *= -1
    sample["orientations"][..., 1] *= -1
    sample["spins"] *= -1
