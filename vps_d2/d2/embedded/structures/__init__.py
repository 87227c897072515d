"""Boxes, masks, padded images, and instances that hold them."""

from vps_d2.d2.embedded.structures.boxes import Boxes, BoxMode, pairwise_iou
from vps_d2.d2.embedded.structures.image_list import ImageList
from vps_d2.d2.embedded.structures.instances import Instances
from vps_d2.d2.embedded.structures.masks import BitMasks

__all__ = ["BitMasks", "BoxMode", "Boxes", "ImageList", "Instances", "pairwise_iou"]
