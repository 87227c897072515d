"""Configuration: Detectron2's ``detectron2.config``."""

from vps_d2.d2 import ENGINE

if ENGINE == "detectron2":
    from detectron2.config import CfgNode, configurable, get_cfg
else:
    from vps_d2.d2.embedded.config import CfgNode, configurable, get_cfg

__all__ = ["CfgNode", "configurable", "get_cfg"]
