"""Boxes, masks and instances: Detectron2's ``detectron2.structures``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.structures import BitMasks, Boxes, BoxMode, Instances
else:
    from vps_d2.d2.embedded.structures import BitMasks, Boxes, BoxMode, Instances

__all__ = ["BitMasks", "BoxMode", "Boxes", "Instances"]
