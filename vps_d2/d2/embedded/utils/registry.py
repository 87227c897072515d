"""Registries of objects by name; Detectron2 uses fvcore's, too."""

from fvcore.common.registry import Registry

__all__ = ["Registry"]
