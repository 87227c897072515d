"""The instances of a video on disk, a line for each frame, so that memory does not grow with it.

A line is JSON: the frame's index, its time as a fraction of seconds, and its instances, each with
its mask as COCO's compressed RLE, its class number minus one, its score, its track (0 for none) and
the numbers that describe it, float16 in base64.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from pycocotools import mask as mask_utils

from vps_d2.d2.structures import Instances
from vps_d2.inference.tracking import DESCRIPTIONS
from vps_d2.io.files import open_regular


@dataclass
class SpooledFrame:
    """The instances of a frame.

    Args:
        index: of the frame in the video.
        time: in seconds.
        rles: masks as ``counts`` of COCO's compressed RLE.
        classes: class numbers minus one.
        scores: 0-1.
        track_ids: 0 for an instance that belongs to no track.
        descriptions: float16 ``(K, D)`` under the name of their field; None if there are none.
    """

    index: int
    time: Fraction
    rles: list[str]
    classes: list[int]
    scores: list[float]
    track_ids: list[int]
    descriptions: tuple[str, np.ndarray] | None = None

    @classmethod
    def pack(
        cls, index: int, time: Fraction, instances: Instances, track_ids: list[int]
    ) -> "SpooledFrame":
        """Return a frame's instances in the form that is written.

        Args:
            index: of the frame.
            time: in seconds.
            instances: with ``pred_masks``, ``pred_classes``, ``scores``; :func:`round_descriptions`
                has been applied to them.
            track_ids: of each of them.
        """
        masks = instances.pred_masks.numpy().view(np.uint8)
        rles = mask_utils.encode(np.asfortranarray(masks.transpose(1, 2, 0))) if len(masks) else []
        name = next((name for name in DESCRIPTIONS if instances.has(name)), None)
        return cls(
            *(index, time, [rle["counts"].decode() for rle in rles]),
            *(instances.pred_classes.tolist(), instances.scores.tolist(), track_ids),
            None if name is None else (name, instances.get_fields()[name].half().numpy()),
        )

    def unpack(self, size: tuple[int, int]) -> Instances:
        """Return the instances that were packed; all but their track ids.

        Args:
            size: height and width of the frame.
        """
        masks = np.zeros((len(self.rles), *size), bool)
        for mask, rle in zip(masks, self.rles, strict=True):
            mask[:] = decode_mask(rle, size)
        instances = Instances(
            size,
            pred_masks=torch.from_numpy(masks),
            pred_classes=torch.tensor(self.classes, dtype=torch.int64),
            scores=torch.tensor(self.scores, dtype=torch.float32),
        )
        if self.descriptions is not None:
            name, values = self.descriptions
            instances.set(name, torch.from_numpy(values.astype(np.float32)))
        return instances

    def to_line(self) -> bytes:
        """Return the line of this frame, with its end."""
        named: list[Any] = []
        if self.descriptions is not None:
            name, values = self.descriptions
            text = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
            named = [name, values.shape[1], text]
        fields = [self.rles, self.classes, self.scores, self.track_ids, named]
        return json.dumps([self.index, str(self.time), *fields]).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "SpooledFrame":
        """Return the frame of a line.

        Raises:
            ValueError: if it is not a line that :meth:`to_line` wrote.
        """
        try:
            index, time, rles, classes, scores, track_ids, named = json.loads(line)
            frame = cls(index, Fraction(time), rles, classes, scores, track_ids)
            if named:
                values = np.frombuffer(base64.b64decode(named[2]), np.float16)
                frame.descriptions = named[0], values.reshape(len(rles), named[1]).copy()
        except (TypeError, AttributeError) as error:
            raise ValueError("it is not a line of instances") from error
        if not len(rles) == len(classes) == len(scores) == len(track_ids):
            raise ValueError("its lists have different lengths")
        return frame


def round_descriptions(instances: Instances) -> Instances:
    """Round what describes instances to float16, in which it is kept; the same object is returned.

    A tracker then sees the same numbers in a run that goes on as in one that was not interrupted.
    """
    for name in DESCRIPTIONS:
        if instances.has(name):
            instances.set(name, instances.get_fields()[name].half().float())
    return instances


def decode_mask(rle: str, size: tuple[int, int]) -> np.ndarray:
    """Return the mask bool ``(H, W)`` of ``counts`` of a compressed RLE."""
    mask: np.ndarray = mask_utils.decode({"size": list(size), "counts": rle.encode()})
    return mask.view(bool)


def read_frames(path: Path) -> Iterator[SpooledFrame]:
    """Yield the frames of a spool that are whole; a killed run may have cut the last one."""
    with suppress(FileNotFoundError), open_regular(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                yield SpooledFrame.from_line(line)
            except ValueError:
                return


def open_spool(path: Path, num_frames: int) -> IO[bytes]:
    """Open a spool to append to it.

    Args:
        path: of the file, which is made if it is missing.
        num_frames: how many of its frames to keep.
    """
    file = path.open("a+b")
    file.seek(0)
    for _ in range(num_frames):
        file.readline()
    file.truncate(file.tell())
    return file
