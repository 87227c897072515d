"""Mask R-CNN (arXiv 1703.06870) on torchvision's operations, with Detectron2's weights."""

from vps_d2.d2.embedded.modeling.build import META_ARCH_REGISTRY, build_model
from vps_d2.d2.embedded.modeling.meta_arch import GeneralizedRCNN

__all__ = ["META_ARCH_REGISTRY", "GeneralizedRCNN", "build_model"]
