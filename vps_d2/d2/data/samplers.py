"""Order of the samples: Detectron2's ``detectron2.data.samplers``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.data.samplers import InferenceSampler
else:
    from vps_d2.d2.embedded.data.samplers import InferenceSampler

__all__ = ["InferenceSampler"]
