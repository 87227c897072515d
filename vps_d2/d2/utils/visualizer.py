"""Pictures of predictions: Detectron2's ``detectron2.utils.visualizer``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.visualizer import ColorMode, Visualizer
else:
    from vps_d2.d2.embedded.utils.visualizer import ColorMode, Visualizer

__all__ = ["ColorMode", "Visualizer"]
