"""Parts of optimizers: Detectron2's ``detectron2.solver.build``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.solver.build import maybe_add_gradient_clipping
else:
    from vps_d2.d2.embedded.solver.build import maybe_add_gradient_clipping

__all__ = ["maybe_add_gradient_clipping"]
