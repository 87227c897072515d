"""Paths: Detectron2's ``detectron2.utils.file_io``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.utils.file_io import PathManager
else:
    from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = ["PathManager"]
