"""Configuration: every key, files and overrides, and the checks of what they say."""

from vps_d2.config.defaults import add_vps_config, get_vps_cfg
from vps_d2.config.loading import load_config, merge_opts

__all__ = ["add_vps_config", "get_vps_cfg", "load_config", "merge_opts"]
