"""Names to objects; fvcore's registry is Detectron2's."""

from fvcore.common.registry import Registry

__all__ = ["Registry"]
