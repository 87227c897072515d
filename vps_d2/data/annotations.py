"""Instance and semantic annotations, made from masks on demand.

Where every object in a video has a different class, each class is an instance; elsewhere, each
connected part of a class is one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from vps_d2.d2.structures import BoxMode
from vps_d2.data.datasets import Record, load_records
from vps_d2.data.metadata import dataset_taxonomy
from vps_d2.data.pictures import open_picture
from vps_d2.data.taxonomy import MAX_CLASSES, NO_CLASS, Taxonomy
from vps_d2.data.video import FaultError, check_classes, read_mask
from vps_d2.io.files import check_output, write_json


def split_mask(
    mask: np.ndarray, one_object_per_class: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a class map into objects.

    Args:
        mask: class map, uint8 ``(H, W)``; pixels of NO_CLASS belong to no object.
        one_object_per_class: whether a class is one object; otherwise each connected part of it is.

    Returns:
        class numbers int64 ``(K,)`` in ascending order, bit masks bool ``(K, H, W)``, and boxes
        float32 ``(K, 4)`` as x0, y0, x1, y1 in pixels, the far edges exclusive. K is 0 for a mask
        that is all background.
    """
    classes = np.flatnonzero(np.bincount(mask.ravel())[1:NO_CLASS]) + 1
    bits = mask[None] == classes[:, None, None].astype(np.uint8)
    if not one_object_per_class and len(classes):
        parts = [_connected_parts(each) for each in bits]
        classes = np.repeat(classes, list(map(len, parts)))
        bits = np.concatenate(parts)
    return classes, bits, mask_boxes(bits)


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Return the boxes around masks bool ``(K, H, W)``.

    Returns:
        float32 ``(K, 4)`` as x0, y0, x1, y1 in pixels, the far edges exclusive; all zero for an
        empty mask.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(x):
            box[:] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return boxes


def _connected_parts(bits: np.ndarray) -> np.ndarray:
    """Return the connected parts of a bit mask bool ``(H, W)``, bool ``(parts, H, W)``."""
    count, labels = cv2.connectedComponents(bits.astype(np.uint8))
    return labels[None] == np.arange(1, count)[:, None, None]


def annotate(record: Record, taxonomy: Taxonomy) -> Record:
    """Return a copy of a frame record with Detectron2's ``"annotations"``.

    Args:
        record: of a data set of frames; see :func:`read_class_map`.
        taxonomy: of its mask.

    Returns:
        the record; each annotation has ``bbox`` (XYXY_ABS, pixels), ``category_id`` (class number
        minus one), ``segmentation`` (compressed RLE) and ``iscrowd`` 0.

    Raises:
        UserError: if the mask cannot be read.
    """
    mask = read_class_map(record, taxonomy.num_classes)
    classes, bits, boxes = split_mask(mask, taxonomy.one_object_per_class)
    annotations = [
        {
            "bbox": box.tolist(),
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": int(class_number) - 1,
            "segmentation": mask_utils.encode(np.asfortranarray(bit, dtype=np.uint8)),
            "iscrowd": 0,
        }
        for class_number, bit, box in zip(classes, bits, boxes, strict=True)
    ]
    return {**record, "annotations": annotations}


def read_class_map(
    record: Record, num_classes: int = MAX_CLASSES, size: Sequence[int] | None = None
) -> np.ndarray:
    """Read the mask of a frame.

    Args:
        record: of a data set of frames, with ``mask_file_name`` and ``mask_index`` or, in
            Detectron2's form, ``sem_seg_file_name``.
        num_classes: background included; a higher number in the mask is a fault.
        size: height and width that the frame has; None if they are not known.

    Returns:
        class map uint8 ``(H, W)``, with NO_CLASS where a picture has it.

    Raises:
        UserError: if the mask cannot be read, or has another size than the frame.
    """
    if "mask_file_name" in record:
        uri = record["mask_file_name"]
        mask = read_mask(uri, record["mask_index"], num_classes)
    else:
        uri = record["sem_seg_file_name"]
        mask = load_mask_frame(uri, num_classes=num_classes)
    if size is not None and mask.shape != tuple(size):
        raise FaultError(uri, f"mask of the wrong shape {mask.shape}, frame {tuple(size)}")
    return mask


def load_mask_frame(uri: str, dtype: Any = np.uint8, num_classes: int = MAX_CLASSES) -> np.ndarray:
    """Load the mask that a ``sem_seg_file_name`` names: SemSegEvaluator's ``sem_seg_loading_fn``.

    Args:
        uri: ``<file>.npy#<index>`` for one mask of a video, or ``<file>.npy``; any other file is a
            picture whose pixels, gray or indices of a palette, are class numbers or NO_CLASS.
        dtype: of the result.
        num_classes: background included; a higher number in the mask is a fault.

    Returns:
        class map ``(H, W)``.

    Raises:
        UserError: if the mask cannot be read.
    """
    path, mark, index = uri.rpartition("#")
    if mark and index.isdigit():
        return read_mask(path, int(index), num_classes).astype(dtype)
    if uri.endswith(".npy"):
        return read_mask(uri, None, num_classes).astype(dtype)
    return _read_picture(uri, num_classes).astype(dtype)


def _read_picture(path: str, num_classes: int) -> np.ndarray:
    # OpenCV would turn the indices of a palette into colors.
    with open_picture(path, "mask") as picture:
        mask = np.array(picture)
    if mask.ndim != 2 or mask.dtype != np.uint8:
        reason = f"mask of the wrong form ({mask.dtype} {mask.shape}, not uint8 with one channel)"
        raise FaultError(path, reason, "convert it")
    check_classes(path, mask[mask != NO_CLASS], num_classes)
    return mask


def coco_json(name: str, path: str | Path, skip_faulty: bool = False) -> Path:
    """Write a data set of frames as a COCO file, for COCOEvaluator.

    Category ids are class numbers minus one, as in the model's output, so they need no mapping.

    Args:
        name: of the data set.
        path: the file to write or replace, whole or not at all.
        skip_faulty: leave faulty videos out, and log them, instead of stopping.

    Returns:
        ``path``.

    Raises:
        UserError: if a mask cannot be read, the data has faults and ``skip_faulty`` is False, or
            the file cannot be written.
    """
    path = Path(path)
    taxonomy = dataset_taxonomy(name)
    images: list[Record] = []
    annotations: list[Record] = []
    for record in load_records(name, skip_faulty):
        image = {"id": record["image_id"], "file_name": record["file_name"]}
        images.append({**image, "height": record["height"], "width": record["width"]})
        for annotation in annotate(record, taxonomy)["annotations"]:
            x0, y0, x1, y1 = annotation["bbox"]
            rle = annotation["segmentation"]
            annotations.append(
                {
                    "id": len(annotations) + 1,  # COCO's matching uses 0 for no match
                    "image_id": record["image_id"],
                    "category_id": annotation["category_id"],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": float(mask_utils.area(rle)),
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                    "iscrowd": 0,
                }
            )
    things = taxonomy.thing_classes
    content = {
        "info": {"description": name},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": index, "name": thing} for index, thing in enumerate(things)],
    }
    check_output(path)
    write_json(path, content, indent=None)
    return path
