"""Features of boxes: Detectron2's ``detectron2.modeling.poolers``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.modeling.poolers import ROIPooler
else:
    from vps_d2.d2.embedded.modeling.poolers import ROIPooler

__all__ = ["ROIPooler"]
