"""Architectures by name: Detectron2's ``detectron2.modeling``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.modeling import META_ARCH_REGISTRY, build_backbone, build_model
else:
    from vps_d2.d2.embedded.modeling import META_ARCH_REGISTRY, build_backbone, build_model

__all__ = ["META_ARCH_REGISTRY", "build_backbone", "build_model"]
