"""Seeds: Detectron2's ``detectron2.utils.env``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.env import seed_all_rng
else:
    from vps_d2.d2.embedded.utils.env import seed_all_rng

__all__ = ["seed_all_rng"]
