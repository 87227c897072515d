"""The default way from a record to the input of a detector."""

import copy
from typing import Any

import numpy as np
import torch

from vps_d2.d2.embedded.config import CfgNode, configurable
from vps_d2.d2.embedded.data import detection_utils as utils
from vps_d2.d2.embedded.data import transforms as T

__all__ = ["DatasetMapper"]


class DatasetMapper:
    """Read an image, augment it and its annotations, and make tensors of them.

    Args:
        is_train: keep the annotations, as "instances".
        augmentations: what to apply.
        image_format: channel order, as of :func:`detection_utils.read_image`.
        use_instance_mask: keep masks where there are any.
        instance_mask_format: "bitmask".
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        augmentations: list[T.Augmentation | T.Transform],
        image_format: str,
        use_instance_mask: bool = False,
        instance_mask_format: str = "bitmask",
    ):
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.use_instance_mask = use_instance_mask
        self.instance_mask_format = instance_mask_format

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Return the arguments that a configuration gives."""
        return {
            "is_train": is_train,
            "augmentations": utils.build_augmentation(cfg, is_train),
            "image_format": cfg.INPUT.FORMAT,
            "use_instance_mask": cfg.MODEL.MASK_ON,
            "instance_mask_format": cfg.INPUT.MASK_FORMAT,
        }

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map a record, which is not changed.

        Returns:
            The record with "image", (C, H, W), and in training with "instances" in the place of
            "annotations".
        """
        sample = copy.deepcopy(dataset_dict)
        image = utils.read_image(sample["file_name"], self.image_format)
        utils.check_image_size(sample, image)
        aug_input = T.AugInput(image)
        transforms = self.augmentations(aug_input)
        image = aug_input.image
        sample["image"] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

        annotations = sample.pop("annotations", None)
        if annotations is None or not self.is_train:
            return sample
        if not self.use_instance_mask:
            for annotation in annotations:
                annotation.pop("segmentation", None)
        size = (image.shape[0], image.shape[1])
        transformed = [
            utils.transform_instance_annotations(annotation, transforms, size)
            for annotation in annotations
            if annotation.get("iscrowd", 0) == 0
        ]
        instances = utils.annotations_to_instances(transformed, size, self.instance_mask_format)
        sample["instances"] = utils.filter_empty_instances(instances)
        return sample
