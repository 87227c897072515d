"""Optimizers and learning rates: Detectron2's ``detectron2.solver``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.solver import build_optimizer, get_default_optimizer_params
else:
    from vps_d2.d2.embedded.solver import build_optimizer, get_default_optimizer_params

__all__ = ["build_optimizer", "get_default_optimizer_params"]
