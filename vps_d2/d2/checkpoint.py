"""Checkpoints: Detectron2's ``detectron2.checkpoint``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.checkpoint import DetectionCheckpointer
else:
    from vps_d2.d2.embedded.checkpoint import DetectionCheckpointer

__all__ = ["DetectionCheckpointer"]
