"""Tubes: the masks of an object in all frames of a video, run-length encoded.

A record of a video with tubes has ``"annotations"``, a list of :class:`Tube`, or the masks of a
labeled video, of which :func:`record_tubes` makes them. A mask is COCO's compressed run-length
encoding (RLE), ``{"size": [H, W], "counts": bytes}``; None where the object is not visible.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from pycocotools import mask as mask_utils

from vps_d2.data.datasets import Record
from vps_d2.data.taxonomy import MAX_CLASSES, NO_CLASS
from vps_d2.data.video import read_masks
from vps_d2.io.errors import UserError

Rle = dict[str, Any]
"""A mask as COCO's compressed RLE; see above."""

_DATA_BITS, _CONTINUES, _NEGATIVE = 5, 0x20, 0x10
"""Of a character of an RLE's counts: bits of data, and the bits that say that another character
follows, and that the number is negative."""
_OFFSET = 48
_FARTHEST = 1e6  # coordinate of a polygon; more would take too much memory to fill


def elect_class(votes: Mapping[int, float]) -> int:
    """Return the class of an object that was seen in several frames.

    Args:
        votes: sum of its scores by class number minus one.

    Returns:
        the one with the largest sum; of equal ones, the lowest.
    """
    return min(votes, key=lambda number: (-votes[number], number))


class Tube(TypedDict):
    """An object in all frames of a video.

    ``id`` differs between the objects of a video; ``category_id`` is the class number minus one.
    ``segmentations`` and ``areas``, in pixels, have one entry per frame, None where the object is
    not visible. ``iscrowd`` marks a group of objects, which is not learned from, and at which a
    prediction is neither right nor wrong.
    """

    id: int
    category_id: int
    iscrowd: int
    segmentations: list[Rle | None]
    areas: list[float | None]


def encode_mask(mask: np.ndarray) -> Rle:
    """Return a mask bool or uint8 ``(H, W)`` as a compressed RLE."""
    rle: Rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return rle


def decode_mask(rle: Rle) -> np.ndarray:
    """Return a compressed RLE as a mask bool ``(H, W)``."""
    mask: np.ndarray = mask_utils.decode(rle).astype(bool)
    return mask


def to_rle(segmentation: Any, height: int, width: int) -> Rle | None:
    """Return a mask in any of COCO's forms as a checked, compressed RLE.

    Args:
        segmentation: polygons, an RLE whose counts are numbers, text or bytes; None or an empty
            list for an object that is not visible.
        height: of the frame, in pixels.
        width: of the frame.

    Raises:
        ValueError: if it is none of these, or of another size; the message says what is wrong.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        return _fill_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("a segmentation that is neither an RLE, nor polygons, nor null")
    size, counts = segmentation["size"], segmentation["counts"]
    if size not in ([height, width], (height, width)):
        raise ValueError(f"an RLE of size {size!r:.50} in a video of size {[height, width]}")
    if isinstance(counts, list):
        _check_runs(np.array(counts), height * width)
        rle: Rle = mask_utils.frPyObjects(segmentation, height, width)
        return rle
    if not isinstance(counts, str | bytes):
        raise ValueError("an RLE whose counts are neither text nor numbers")
    text = counts.encode() if isinstance(counts, str) else counts
    _check_runs(_parse_counts(text), height * width)
    return {"size": [height, width], "counts": text}


def _fill_polygons(polygons: list[Any], height: int, width: int) -> Rle:
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon that is not a list of three or more points")
        if not (np.abs(np.asarray(polygon, np.float64)) < _FARTHEST).all():
            raise ValueError("a polygon with a coordinate far outside any frame")
    rle: Rle = mask_utils.merge(mask_utils.frPyObjects(polygons, height, width))
    return rle


def _parse_counts(text: bytes) -> np.ndarray:
    """Return the runs of a compressed RLE, int64 ``(runs,)``.

    Each run but the first three is written as its difference from the run before the last one, as
    a number of little-endian groups of bits.
    """
    characters = np.frombuffer(text, np.uint8).astype(np.int64) - _OFFSET
    if not len(characters) or characters.min() < 0 or characters.max() >= 1 << (_DATA_BITS + 1):
        raise ValueError("an RLE whose counts are not those of COCO")
    ends = np.flatnonzero(characters & _CONTINUES == 0)
    if not len(ends) or ends[-1] != len(characters) - 1:
        raise ValueError("an RLE whose counts are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("an RLE with a run that is too long")
    places = np.arange(len(characters)) - np.repeat(starts, lengths)
    bits = (characters & (_CONTINUES - 1)) << (_DATA_BITS * places)
    runs = np.add.reduceat(bits, starts)
    runs -= np.where(characters[ends] & _NEGATIVE, 1 << (_DATA_BITS * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _check_runs(runs: np.ndarray, count: int) -> None:
    if runs.ndim != 1 or not np.issubdtype(runs.dtype, np.integer) or not len(runs):
        raise ValueError("an RLE whose counts are not whole numbers")
    # pycocotools would return memory that was never written.
    if runs.min() < 0 or int(runs.sum()) != count:
        raise ValueError(f"an RLE of {int(runs.sum())} pixels in a video of {count}")


def masks_to_tubes(masks: np.ndarray) -> list[Tube]:
    """Return the objects of a labeled video in which a class is an object.

    Where the masks give an object another class for a frame or two, that is part of another object
    here; nothing is corrected.

    Args:
        masks: class maps, uint8 ``(T, H, W)``.

    Returns:
        a tube for each class that occurs, in ascending order; its ``id`` is the class number.
    """
    present = np.stack([np.bincount(mask.ravel(), minlength=MAX_CLASSES + 1) for mask in masks])
    return [
        {
            "id": int(number),
            "category_id": int(number) - 1,
            "iscrowd": 0,
            "segmentations": [
                encode_mask(mask == number) if area else None
                for mask, area in zip(masks, present[:, number], strict=True)
            ],
            "areas": [float(area) if area else None for area in present[:, number]],
        }
        for number in np.flatnonzero(present.any(0))
        if number not in (0, NO_CLASS)
    ]


def record_tubes(record: Record, num_classes: int = MAX_CLASSES) -> list[Tube]:
    """Return the tubes of a video record.

    Args:
        record: of a data set of videos, with ``"annotations"`` or ``"mask_file_name"``.
        num_classes: background included; a higher number in a mask is a fault.

    Raises:
        UserError: if it has neither, or its masks cannot be read.
    """
    if "annotations" in record:
        tubes: list[Tube] = record["annotations"]
        return tubes
    if "mask_file_name" not in record:
        raise UserError(
            f"video {record.get('video_name', record['video_id'])} has no annotations; use a data "
            "set with annotated videos."
        )
    return masks_to_tubes(read_masks(Path(record["mask_file_name"]).parent, num_classes))


def decode_frames(tube: Tube, indices: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Return the masks of a tube in some frames.

    Args:
        tube: of the video.
        indices: of the frames.
        size: height and width of the frames.

    Returns:
        bool ``(T, H, W)``.
    """
    masks = np.zeros((len(indices), *size), bool)
    for mask, index in zip(masks, indices, strict=True):
        if (rle := tube["segmentations"][index]) is not None:
            mask[:] = decode_mask(rle)
    return masks
