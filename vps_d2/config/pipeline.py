"""Configurations of pipelines, which name the models that they are made of."""

from collections.abc import Sequence
from pathlib import Path

from vps_d2.config.loading import load_config, merge_opts
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.io.resources import config_path, local_path


def resolve_path(path: str, folder: Path) -> str:
    """Return where a path of weights in a configuration points.

    Args:
        path: ``package://name`` for the shipped weights, absolute, or relative to ``folder``; ""
            stays.
        folder: of the configuration file that names it.
    """
    path = local_path(path)
    if not path or "://" in path:
        return path
    return str((folder / path).resolve())


def load_pipeline_config(config_file: str | Path, opts: Sequence[str] = ()) -> CfgNode:
    """Read the configuration of a pipeline, with the paths of its models made absolute.

    Args:
        config_file: a YAML file with PIPELINE keys, or the name of a shipped one. Relative paths in
            it are taken from its folder, also where they stand in a file that it builds on.
        opts: keys and values that override the file; relative paths are taken from the working
            folder.

    Raises:
        UserError: if the file or an override is wrong, or no segmenter is named.
    """
    config_file = config_path(config_file)
    cfg = load_config(config_file)
    folder = Path(config_file).resolve().parent
    _resolve(cfg, folder)
    before = [(node.CONFIG_FILE, node.WEIGHTS) for node in model_nodes(cfg)]
    merge_opts(cfg, opts)
    if before != [(node.CONFIG_FILE, node.WEIGHTS) for node in model_nodes(cfg)]:
        _resolve(cfg, Path.cwd())  # absolute ones stay
    if not cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        raise UserError(
            f"config file {config_file} names no PIPELINE.SEGMENTER.CONFIG_FILE; give one of "
            "configs/pipeline."
        )
    return cfg


def model_nodes(cfg: CfgNode) -> tuple[CfgNode, CfgNode, CfgNode]:
    """Return what names the models of a pipeline: predictor, segmenter and mask predictor."""
    return cfg.PIPELINE.PREDICTOR, cfg.PIPELINE.SEGMENTER, cfg.PIPELINE.MASK_PREDICTOR


def _resolve(cfg: CfgNode, folder: Path) -> None:
    for node in model_nodes(cfg):
        node.CONFIG_FILE = config_path(node.CONFIG_FILE, folder)
        node.WEIGHTS = resolve_path(node.WEIGHTS, folder)
