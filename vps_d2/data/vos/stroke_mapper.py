"""The mapper of pictures in which an object is to be found by strokes.

Shapes: ``H`` rows, ``W`` columns.
"""

from typing import Any

import cv2
import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.data.datasets import Record
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, to_tensor
from vps_d2.data.pictures import read_picture
from vps_d2.data.vos.clips import visible
from vps_d2.data.vos.datasets import register_vos_procedural  # noqa: F401  registers the built-in
from vps_d2.data.vos.library import open_library
from vps_d2.data.vos.maps import read_dataset_map, read_saliency
from vps_d2.data.vos.scenes import SceneOptions, draw_scene
from vps_d2.data.vos.simulated_strokes import (
    StrokeMaps,
    correct,
    first_strokes,
    spoil,
)

_TRIES = 5
_LEAST_SHARE = 0.0015  # of a picture that an object must have
_LEAST_PIXELS = 60  # of an object in the crop
_MARGINS = (1.15, 4.0)  # side of a crop, in sides of the object
_TURN = 20.0  # degrees
_ASPECT = 1.3


@DATASET_MAPPER_REGISTRY.register()
class StrokeMapper:
    """Crops around one object of a picture, with strokes that a person could have drawn.

    Args:
        is_train: draw at random; otherwise a record always gives the same.
        size: height and width of a crop.
        scene_size: height and width of made pictures, which are then cropped.
        spoiled: how often there is a mask with errors already, in 0-1.
        lookalikes: see :class:`SceneOptions`.
        gray: chance of a gray picture.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        size: tuple[int, int] = (256, 256),
        scene_size: tuple[int, int] = (320, 320),
        spoiled: float = 0.4,
        lookalikes: float = 0.35,
        gray: float = 0.05,
    ) -> None:
        self.is_train = is_train
        self.size = size
        self.spoiled = spoiled
        self.gray = gray
        self.options = SceneOptions(size=scene_size, objects=(1, 4), lookalikes=lookalikes)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            "is_train": is_train,
            "size": tuple(cfg.INPUT.S2M.SIZE),
            "scene_size": tuple(cfg.INPUT.S2M.SCENE_SIZE),
            "spoiled": cfg.INPUT.S2M.SPOILED,
            "lookalikes": cfg.INPUT.VOS.LOOKALIKES,
            "gray": cfg.INPUT.VOS.GRAY,
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Make or read one picture.

        Args:
            record: see :mod:`vps_d2.data.vos.datasets`; of a video, any frame with a map is used.

        Returns:
            ``image`` uint8 ``(3, H, W)``; bool ``(H, W)``: ``object_mask``, the truth, ``mask``,
            what is known so far, and ``positive`` and ``negative``, the strokes; ``video_id``, and
            the record's ``video_name``.

        Raises:
            UserError: if a file cannot be read.
        """
        seed = np.random.randint(1 << 31, size=4) if self.is_train else record["video_id"]
        rng = np.random.default_rng(seed)
        picture, object_mask, others = self._crop_object(rng, record)
        mask, maps = self._start(rng, object_mask, others)
        keys = ("video_id", "video_name")
        return {
            **{key: record[key] for key in keys if key in record},
            "image": to_tensor(picture),
            "object_mask": torch.from_numpy(object_mask),
            "mask": torch.from_numpy(mask),
            "positive": torch.from_numpy(maps.positive),
            "negative": torch.from_numpy(maps.negative),
        }

    def _start(
        self, rng: np.random.Generator, object_mask: np.ndarray, others: np.ndarray
    ) -> tuple[np.ndarray, StrokeMaps]:
        """Draw first strokes, or a mask with errors and strokes on them."""
        nothing = np.zeros_like(object_mask)
        if not object_mask.any():
            return nothing, StrokeMaps(nothing, nothing)
        if rng.random() >= self.spoiled:
            return nothing, first_strokes(rng, object_mask)
        mask = spoil(rng, object_mask, others)
        return mask, correct(rng, object_mask, mask, StrokeMaps(nothing, nothing))

    def _crop_object(
        self, rng: np.random.Generator, record: Record
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a crop, and the masks of its object and of all others in it."""
        for _ in range(_TRIES):
            picture, object_map = self._read(rng, record)
            seen = visible(object_map, _LEAST_SHARE)
            number = int(rng.choice(seen)) if seen else 1
            matrix = self._matrix(rng, object_map == number, rng.random() < 0.15)
            size = (self.size[1], self.size[0])
            edges = cv2.BORDER_REFLECT_101
            cropped = cv2.warpAffine(
                object_map, matrix, size, flags=cv2.INTER_NEAREST, borderMode=edges
            )
            if (cropped == number).sum() >= _LEAST_PIXELS:
                break
        shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        if shrink < 0.6:  # so that no detail turns into noise
            picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / shrink)
        crop = cv2.warpAffine(picture, matrix, size, borderMode=edges)
        others = (cropped != number) & (cropped > 0)
        return self._color(rng, crop), cropped == number, others

    def _read(self, rng: np.random.Generator, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """Return a picture and its object map."""
        if "clip_source" in record:
            library = open_library(*record["clip_source"])
            picture, object_map = draw_scene(rng, self.options, library).render(0)
            return picture, object_map
        if "file_names" in record:
            paths = record["object_map_file_names"]
            index = int(rng.choice([index for index, path in enumerate(paths) if path]))
            picture = read_picture(record["file_names"][index])
            return picture, read_dataset_map(paths[index], picture.shape[:2])
        picture = read_picture(record["file_name"])
        return picture, read_saliency(record["object_map_file_name"], picture.shape[:2])

    def _matrix(self, rng: np.random.Generator, mask: np.ndarray, whole: bool) -> np.ndarray:
        """Return how the picture is cropped: an affine matrix ``(2, 3)``."""
        height, width = mask.shape
        left, top, across, along = cv2.boundingRect(mask.astype(np.uint8))
        if whole or not across:
            left, top, across, along = 0, 0, width, height
        margin = float(np.exp(rng.uniform(*np.log(_MARGINS)))) if not whole else 1.0
        extent = max(across, along) * margin
        extent = float(np.clip(extent, 32, max(height, width)))
        spare = np.maximum(0, extent - np.array([across, along])) / 2
        center = np.array([left + across / 2, top + along / 2]) + rng.uniform(-1, 1, 2) * spare
        low = np.minimum(extent / 2, np.array([width, height]) / 2)
        center = np.clip(center, low, np.array([width, height]) - low)
        aspect = np.exp(rng.uniform(-0.5, 0.5) * np.log(_ASPECT))
        scale = np.array([self.size[1] * aspect, self.size[0] / aspect]) / extent
        if rng.random() < 0.5:
            scale[0] *= -1
        turn = np.deg2rad(rng.normal(0, _TURN / 2))
        cosine, sine = np.cos(turn), np.sin(turn)
        linear = np.array([[cosine, -sine], [sine, cosine]]) * scale
        offset = np.array([self.size[1], self.size[0]]) / 2 - linear @ center
        return np.concatenate([linear, offset[:, None]], 1)

    def _color(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        """Change brightness, contrast and colors."""
        gains = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.06, 3))
        mean = np.array(cv2.mean(picture)[:3])
        values = (np.arange(256)[:, None] - mean) * rng.uniform(0.7, 1.3) + mean
        table = np.clip(values * gains, 0, 255).astype(np.uint8)
        picture = cv2.LUT(picture, table.reshape(1, 256, 3))
        if rng.random() >= self.gray:
            return picture
        return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
