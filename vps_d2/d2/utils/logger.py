"""Logging: Detectron2's ``detectron2.utils.logger``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.logger import setup_logger
else:
    from vps_d2.d2.embedded.utils.logger import setup_logger

__all__ = ["setup_logger"]
