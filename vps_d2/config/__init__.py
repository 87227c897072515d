"""Configuration: all keys, files and overrides, and checks of the values."""

from vps_d2.config.defaults import add_vps_config, get_vps_cfg
from vps_d2.config.loading import load_config, merge_opts

__all__ = ["add_vps_config", "get_vps_cfg", "load_config", "merge_opts"]
