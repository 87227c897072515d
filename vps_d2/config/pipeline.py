"""Configurations of pipelines, which name the models that they are made of."""

from collections.abc import Sequence
from pathlib import Path

from vps_d2.config.files import resolve_path
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.io.resources import config_path


def load_pipeline_config(config_file: str | Path, opts: Sequence[str] = ()) -> CfgNode:
    """Read the configuration of a pipeline, with the paths of its models made absolute.

    Args:
        config_file: a YAML file with PIPELINE keys, or the name of a shipped one. Relative paths in
            it, or in a file that it builds on, are taken from the folder of the file that names
            them.
        opts: keys and values that override the file; relative paths are taken from the working
            folder.

    Raises:
        UserError: if the file or an override is wrong, or no segmenter is named.
    """
    cfg = load_config(config_file, opts)
    for node in model_nodes(cfg):  # those of the file are absolute
        node.CONFIG_FILE = config_path(node.CONFIG_FILE, Path.cwd())
        node.WEIGHTS = resolve_path(node.WEIGHTS, Path.cwd())
    if not cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        raise UserError(
            f"config file {config_file} names no PIPELINE.SEGMENTER.CONFIG_FILE; give one of "
            "configs/pipeline."
        )
    return cfg


def model_nodes(cfg: CfgNode) -> tuple[CfgNode, CfgNode, CfgNode]:
    """Return what names the models of a pipeline: predictor, segmenter and mask predictor."""
    return cfg.PIPELINE.PREDICTOR, cfg.PIPELINE.SEGMENTER, cfg.PIPELINE.MASK_PREDICTOR
