"""What a propagation network found before and after a correction, to learn to fuse masks from.

``vps-d2 generate-fusion`` writes it. A video has a folder; in it, each folder ``FIRST_SECOND`` has
the results of one pair of frames in which the true masks were given. From the first frame, objects
were followed through the video; then they were corrected in the second frame, and followed from
there back to the first. A file ``FRAME_OBJECT.png`` has, in its channels, the probabilities of an
object in a frame between them by the first propagation (red) and by the second one (green), and its
probability in the second frame before the correction (blue), each as 0-255.

Shapes: ``K`` objects, ``H`` rows, ``W`` columns.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import Record, load_records
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, to_tensor
from vps_d2.data.pictures import read_picture
from vps_d2.data.video import FaultError
from vps_d2.data.vos.clips import renumber
from vps_d2.data.vos.maps import read_dataset_map

__all__ = ["LEAST_PIXELS", "FusionMapper", "differing_pixels", "register_fusion"]

LEAST_PIXELS = 100
"""An object has something to learn from if its two masks differ in so many pixels."""

_LEAST_DIFFERENCE = 0.1  # of probabilities
_TRIES = 5
_PAIR = re.compile(r"(\d+)_(\d+)")
_FILE = re.compile(r"(\d+)_(\d+)\.png")


def differing_pixels(first: np.ndarray, second: np.ndarray) -> int:
    """Count the pixels in which probabilities, uint8 ``(H, W)`` as 0-255, differ by 0.1 or more."""
    difference = np.abs(first.astype(np.int16) - second)
    return int(np.count_nonzero(difference > 255 * _LEAST_DIFFERENCE))


def register_fusion(name: str, videos: str, folder: str | Path) -> None:
    """Register what ``vps-d2 generate-fusion`` wrote.

    Args:
        name: of the data set, for DATASETS.TRAIN.
        videos: name of the registered data set that it was made from.
        folder: that it was written to.
    """
    DatasetCatalog.register(name, partial(_records, videos, Path(folder)))
    MetadataCatalog.get(name).set(evaluator_type="fusion")


def _records(videos: str, folder: Path) -> list[Record]:
    """Return a record for each frame between two given ones, with the files of its objects."""
    known = {record["video_name"]: record for record in load_records(videos)}
    records: list[Record] = []
    for pair in sorted(folder.glob("*/*_*/")):
        match = _PAIR.fullmatch(pair.name)
        if match is None or pair.parent.name not in known:
            continue
        first, second = int(match[1]), int(match[2])
        for frame, files in _by_frame(pair).items():
            video = known[pair.parent.name]
            if max(first, second, frame) >= video["num_frames"]:
                raise FaultError(pair, f"frames that {pair.parent.name} of {videos} does not have")
            records.append(_record(len(records), video, (first, second, frame), files))
    if not records:
        raise FaultError(
            folder, f"no result of a video of {videos} in it", "run vps-d2 generate-fusion"
        )
    return records


def _by_frame(pair: Path) -> dict[int, list[tuple[int, str]]]:
    """Return the objects and files of each frame."""
    found: dict[int, list[tuple[int, str]]] = {}
    for path in sorted(pair.iterdir()):
        if match := _FILE.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append((int(match[2]), str(path)))
    return found


def _record(
    number: int, video: Record, places: tuple[int, int, int], files: Sequence[tuple[int, str]]
) -> Record:
    first, second, frame = places
    length = max(abs(first - second), 1)
    return {
        "video_id": number,
        "video_name": video["video_name"],
        "file_names": [video["file_names"][index] for index in (frame, second)],
        "object_map_file_names": [
            video["object_map_file_names"][index] for index in (frame, second)
        ],
        "objects": [number for number, _ in files],
        "fusion_file_names": [file for _, file in files],
        "distances": (abs(first - frame) / length, abs(second - frame) / length),
    }


@DATASET_MAPPER_REGISTRY.register()
class FusionMapper:
    """Masks of one or more objects before and after a correction, with the true ones.

    Args:
        is_train: crop and flip at random, and change the colors a little; otherwise the whole frame
            is taken.
        size: height and width of a crop; a smaller frame gets an empty margin.
        max_objects: most objects of a sample.
    """

    @configurable
    def __init__(self, *, is_train: bool, size: tuple[int, int], max_objects: int = 2) -> None:
        self.is_train = is_train
        self.size = size
        self.max_objects = max_objects

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.INPUT.VOS
        return {
            "is_train": is_train,
            "size": tuple(keys.SIZE),
            "max_objects": keys.MAX_OBJECTS,
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read one sample.

        Args:
            record: of a data set of :func:`register_fusion`.

        Returns:
            ``images`` uint8 ``(2, 3, H, W)``, a frame and the frame that was corrected; ``masks``
            float32 ``(K, 3, H, W)``, of each object its mask in the frame before the correction,
            rounded, as a session keeps it; its probability there after the correction; and its mask
            in the corrected frame before the correction, rounded; ``touched`` float32 ``(K, H,
            W)``, its true mask in the corrected frame; ``object_map`` uint8 ``(H, W)``, the true
            map of the frame, in which the objects have the numbers 1 to K; ``distances`` float32
            ``(2,)``, those of the frame to the first given frame and to the corrected one, which
            sum to 1; and ``video_id`` and ``video_name``.

        Raises:
            UserError: if a file cannot be read.
        """
        files = record["fusion_file_names"]
        chosen = range(len(files))
        if self.is_train:  # so that another object is seen each time
            chosen = np.random.permutation(len(files)).tolist()
        masks = [read_picture(files[place]) for place in chosen]
        size = masks[0].shape[:2]
        pictures = [_fit(read_picture(path), size) for path in record["file_names"]]
        maps = [
            cv2.resize(read_dataset_map(path), size[::-1], interpolation=cv2.INTER_NEAREST)
            for path in record["object_map_file_names"]
        ]
        layers = np.concatenate([*pictures, *(each[..., None] for each in maps), *masks], 2)
        if self.is_train:
            layers = self._crop(layers)
            layers[..., :6] = _color(layers[..., :6])
        return {
            "video_id": record["video_id"],
            "video_name": record["video_name"],
            "distances": torch.tensor(record["distances"]),
            **self._pack(layers, [record["objects"][place] for place in chosen]),
        }

    def _crop(self, layers: np.ndarray) -> np.ndarray:
        """Cut out a part in which an object has something to learn from, if there is one."""
        margins = [
            max(0, wanted - there) for wanted, there in zip(self.size, layers.shape, strict=False)
        ]
        layers = np.pad(layers, ((0, margins[0]), (0, margins[1]), (0, 0)))
        for _ in range(_TRIES):
            top, left = (
                np.random.randint(there - wanted + 1)
                for wanted, there in zip(self.size, layers.shape, strict=False)
            )
            part = layers[top : top + self.size[0], left : left + self.size[1]]
            if any(count >= LEAST_PIXELS for count in _differing(part)):
                break
        return (part[:, ::-1] if np.random.rand() < 0.5 else part).copy()

    def _pack(self, layers: np.ndarray, objects: Sequence[int]) -> dict[str, torch.Tensor]:
        """Turn the channels of :meth:`__call__` into tensors, those that differ most first."""
        counts = _differing(layers)
        first = int(np.argmax(counts))
        order = [first, *(place for place in range(len(objects)) if place != first)]
        order = order[: self.max_objects]
        planes = np.moveaxis(layers[..., 8:], 2, 0).reshape(-1, 3, *layers.shape[:2])[order]
        masks = planes.astype(np.float32) / 255
        masks[:, [0, 2]] = masks[:, [0, 2]] > 0.5
        numbers = [objects[place] for place in order]
        touched = layers[..., 7] == np.array(numbers)[:, None, None]
        return {
            "images": to_tensor(np.stack([layers[..., :3], layers[..., 3:6]])),
            "masks": torch.from_numpy(masks),
            "touched": torch.from_numpy(touched.astype(np.float32)),
            "object_map": torch.from_numpy(renumber(layers[..., 6], numbers)),
        }


def _differing(layers: np.ndarray) -> list[int]:
    """Return for each object how many pixels differ."""
    return [
        differing_pixels(layers[..., place], layers[..., place + 1])
        for place in range(8, layers.shape[2], 3)
    ]


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def _color(pictures: np.ndarray) -> np.ndarray:
    """Change brightness and contrast of two pictures, uint8 ``(H, W, 6)``, a little, alike."""
    gain, contrast = np.random.uniform(0.9, 1.1), np.random.uniform(0.97, 1.03)
    mean = pictures.mean()
    table = np.clip(((np.arange(256) - mean) * contrast + mean) * gain, 0, 255).astype(np.uint8)
    colored: np.ndarray = table[pictures]
    return colored
