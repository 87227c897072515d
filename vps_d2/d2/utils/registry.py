"""Registries: Detectron2's ``detectron2.utils.registry``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.registry import Registry
else:
    from vps_d2.d2.embedded.utils.registry import Registry

__all__ = ["Registry"]
