"""Configurations of pipelines, which name the models of a pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vps_d2.config.files import read_config_file, resolve_path
from vps_d2.config.loading import build_config
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.io.resources import config_path

# Keys of the pipeline itself, and keys that can only be set for one model.
_OWN = ("PIPELINE.", "INPUT.NUM_KNOWN_FRAMES", "VERSION")
_OF_ONE_MODEL = ("MODEL.WEIGHTS", "MODEL.META_ARCHITECTURE")


def load_pipeline_config(config_file: str | Path, opts: Sequence[str] = ()) -> CfgNode:
    """Read the configuration of a pipeline, with the paths of its models made absolute.

    All keys except PIPELINE and INPUT.NUM_KNOWN_FRAMES, such as MODEL.DEVICE, SOLVER.AMP.ENABLED or
    MODEL.CHANNELS_LAST, are set for every model of the pipeline. They are kept in
    PIPELINE.MODEL_OPTS.

    Args:
        config_file: a YAML file with PIPELINE keys, or the name of a shipped one. Relative paths in
            it, or in a file that it builds on, are taken from the folder of the file that names
            them.
        opts: keys and values that override the file; relative paths are taken from the working
            folder.

    Raises:
        UserError: if the file or an override is wrong, a key can only be set for one model, or no
            segmenter is named.
    """
    table = read_config_file(config_file)
    cfg = build_config(table, config_file, opts)
    cfg.PIPELINE.MODEL_OPTS = _model_opts(
        [*_leaves(table), *zip(opts[::2], opts[1::2], strict=True)]
    )
    for node in model_nodes(cfg):  # those from the file are absolute already
        node.CONFIG_FILE = config_path(node.CONFIG_FILE, Path.cwd())
        node.WEIGHTS = resolve_path(node.WEIGHTS, Path.cwd())
    if not cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        raise UserError(
            f"config file {config_file} names no PIPELINE.SEGMENTER.CONFIG_FILE; give one of "
            "configs/pipeline."
        )
    return cfg


def model_nodes(cfg: CfgNode) -> tuple[CfgNode, CfgNode, CfgNode]:
    """Return the config nodes of the models: predictor, segmenter and mask predictor."""
    return cfg.PIPELINE.PREDICTOR, cfg.PIPELINE.SEGMENTER, cfg.PIPELINE.MASK_PREDICTOR


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _model_opts(pairs: Sequence[tuple[str, Any]]) -> list[Any]:
    """Return, as keys and values in turn, the pairs that are meant for the models."""
    opts: list[Any] = []
    for key, value in pairs:
        if key in _OF_ONE_MODEL:
            raise UserError(
                f"{key} is set for a pipeline, which has several models; set "
                "PIPELINE.SEGMENTER.WEIGHTS or CONFIG_FILE, or those of PIPELINE.PREDICTOR or "
                "PIPELINE.MASK_PREDICTOR."
            )
        if not key.startswith(_OWN):
            opts += [key, value]
    return opts
