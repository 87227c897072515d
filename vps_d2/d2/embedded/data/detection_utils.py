"""Reading of images, and annotations of detection data sets."""

from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from PIL import Image, ImageOps

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.data import transforms as T
from vps_d2.d2.embedded.structures import BitMasks, Boxes, BoxMode, Instances
from vps_d2.d2.embedded.utils.file_io import PathManager
from vps_d2.io.errors import UserError

__all__ = [
    "annotations_to_instances",
    "build_augmentation",
    "check_image_size",
    "filter_empty_instances",
    "read_image",
    "to_bitmap",
    "transform_instance_annotations",
]


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """Read an image file, turned upright where its EXIF data ask for it.

    Args:
        file_name: path.
        format: "BGR" or a mode of PIL, such as "RGB" or "L"; None leaves it as it is in the file.

    Returns:
        uint8 (H, W, C), also with one channel for "L".
    """
    with PathManager.open(file_name, "rb") as file:
        image = ImageOps.exif_transpose(Image.open(file))
        if format is not None:
            image = image.convert("RGB" if format == "BGR" else format)
        pixels = np.asarray(image)
    if format == "BGR":
        return pixels[:, :, ::-1]
    return pixels[:, :, None] if format == "L" else pixels


def check_image_size(dataset_dict: dict[str, Any], image: np.ndarray) -> None:
    """Compare an image's size with its record's, and write it into a record without.

    Raises:
        ValueError: if they differ.
    """
    height, width = image.shape[:2]
    said = (dataset_dict.setdefault("height", height), dataset_dict.setdefault("width", width))
    if said != (height, width):
        raise ValueError(
            f"image {dataset_dict.get('file_name', '')} is {height}x{width} pixels, but its "
            f"record says {said[0]}x{said[1]}"
        )


def transform_instance_annotations(
    annotation: dict[str, Any],
    transforms: T.TransformList | list[T.Transform],
    image_size: tuple[int, int],
) -> dict[str, Any]:
    """Transform the box and the mask of one object.

    Args:
        annotation: with "bbox", "bbox_mode" and perhaps "segmentation", polygons or an RLE; it is
            changed.
        transforms: what was applied to the image.
        image_size: height and width of the transformed image.

    Returns:
        The same dict: the box as XYXY_ABS, clipped to the image, and an RLE as an array (H, W).

    Raises:
        ValueError: if the segmentation is neither polygons nor an RLE.
    """
    if isinstance(transforms, (list, tuple)):
        transforms = T.TransformList(transforms)
    box = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
    box = transforms.apply_box(np.array([box], dtype=np.float64))[0]
    height, width = image_size
    annotation["bbox"] = box.clip(0, [width, height, width, height])
    annotation["bbox_mode"] = BoxMode.XYXY_ABS

    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        polygons = [np.asarray(polygon).reshape(-1, 2) for polygon in segmentation]
        moved = transforms.apply_polygons(polygons)
        annotation["segmentation"] = [polygon.reshape(-1) for polygon in moved]
    elif isinstance(segmentation, dict):
        mask = transforms.apply_segmentation(mask_util.decode(segmentation))
        assert mask.shape[:2] == tuple(image_size), f"{mask.shape} is not {image_size}"
        annotation["segmentation"] = mask
    elif segmentation is not None:
        raise ValueError(f"a segmentation of type {type(segmentation).__name__}")
    return annotation


def annotations_to_instances(
    annos: list[dict[str, Any]], image_size: tuple[int, int], mask_format: str = "polygon"
) -> Instances:
    """Make instances of the annotations of one image.

    Args:
        annos: one dict for each object.
        image_size: height and width.
        mask_format: "bitmask" where the objects have masks, in any form.

    Returns:
        Instances with "gt_boxes", "gt_classes" and, where the first object has a segmentation,
        "gt_masks".

    Raises:
        UserError: if there are masks and ``mask_format`` is not "bitmask".
    """
    boxes = [BoxMode.convert(obj["bbox"], obj["bbox_mode"], BoxMode.XYXY_ABS) for obj in annos]
    instances = Instances(image_size)
    instances.gt_boxes = Boxes(np.array(boxes, dtype=np.float32))
    instances.gt_classes = torch.tensor([int(obj["category_id"]) for obj in annos]).long()
    if annos and "segmentation" in annos[0]:
        if mask_format != "bitmask":
            raise UserError(
                f"masks as {mask_format} are not there without Detectron2; set INPUT.MASK_FORMAT "
                "to bitmask."
            )
        masks = [to_bitmap(obj["segmentation"], image_size) for obj in annos]
        instances.gt_masks = BitMasks(np.stack(masks))
    return instances


def to_bitmap(segmentation: Any, image_size: tuple[int, int]) -> np.ndarray:
    """Return polygons, an RLE or an array as a bool array (H, W)."""
    if isinstance(segmentation, list):
        if not segmentation:
            return np.zeros(image_size, dtype=bool)
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in segmentation]
        segmentation = mask_util.merge(mask_util.frPyObjects(polygons, *image_size))
    if isinstance(segmentation, dict):
        segmentation = mask_util.decode(segmentation)
    if not isinstance(segmentation, np.ndarray):
        raise ValueError(f"a segmentation of type {type(segmentation).__name__}")
    return segmentation.astype(bool)


def filter_empty_instances(
    instances: Instances,
    by_box: bool = True,
    by_mask: bool = True,
    box_threshold: float = 1e-5,
    return_mask: bool = False,
) -> Any:
    """Leave out objects of which augmentation has left nothing.

    Args:
        instances: with "gt_boxes" and perhaps "gt_masks".
        by_box: leave out empty boxes.
        by_mask: leave out empty masks.
        box_threshold: a box with a side of at most as many pixels is empty.
        return_mask: also return which ones are kept.

    Returns:
        The instances that are left, and with ``return_mask`` also a bool tensor (N,).
    """
    assert by_box or by_mask, "nothing to filter by"
    keep = torch.ones(len(instances), dtype=torch.bool, device=instances.gt_boxes.device)
    if by_box:
        keep = keep & instances.gt_boxes.nonempty(threshold=box_threshold)
    if by_mask and instances.has("gt_masks"):
        keep = keep & instances.gt_masks.nonempty()
    return (instances[keep], keep) if return_mask else instances[keep]


def build_augmentation(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Return the default augmentations: resizing, and in training flipping."""
    if not is_train:
        return [T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, "choice")]
    augmentations: list[T.Augmentation] = [
        T.ResizeShortestEdge(
            cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
        )
    ]
    if cfg.INPUT.RANDOM_FLIP != "none":
        vertical = cfg.INPUT.RANDOM_FLIP == "vertical"
        augmentations.append(T.RandomFlip(horizontal=not vertical, vertical=vertical))
    return augmentations
