"""From a command line to a checked configuration and a log."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

import vps_d2.modeling  # registers the architectures
from vps_d2.config import get_vps_cfg
from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.engine import default_setup
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.utils import comm
from vps_d2.d2.utils.logger import setup_logger
from vps_d2.data.datasets import dataset_root
from vps_d2.errors import UserError


def load_config(config_file: str | Path = "", opts: Sequence[str] = ()) -> CfgNode:
    """Read a configuration.

    Args:
        config_file: a YAML file; "" for the defaults.
        opts: keys and values in turn, which override the file.

    Returns:
        the configuration, not frozen.

    Raises:
        UserError: if the file, or one that it builds on, is missing or no YAML, or if a key is
            unknown or has a value of the wrong type.
    """
    cfg = get_vps_cfg()
    if config_file:
        if not Path(config_file).is_file():
            raise UserError(f"config file {config_file} does not exist; check --config-file.")
        try:
            # Detectron2 would by default run the code that a YAML's tags name.
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
        except OSError as error:
            raise UserError(
                f"config file {error.filename}, which {config_file} builds on, cannot be read; "
                "check its _BASE_."
            ) from error
        except (KeyError, ValueError, AssertionError, yaml.YAMLError) as error:
            raise UserError(f"config file {config_file}: {_sentence(error)}") from error
    try:
        cfg.merge_from_list(list(opts))
    except (KeyError, ValueError, AssertionError) as error:
        raise UserError(
            f"command line: {_sentence(error)} Overrides are written as KEY VALUE KEY VALUE."
        ) from error
    return cfg


def check_config(cfg: CfgNode) -> None:
    """Check what a configuration names.

    Raises:
        UserError: if a data set, architecture or device does not exist, or if training and
            evaluation share a data set or the folder of one.
    """
    known = DatasetCatalog.list()
    for key in ("TRAIN", "TEST"):
        for name in cfg.DATASETS[key]:
            if name not in known:
                ours = ", ".join(sorted(each for each in known if each.startswith("vps_")))
                raise UserError(
                    f'DATASETS.{key} names "{name}", which is no data set; register it, '
                    f"or use one of {ours}."
                )
    for train in cfg.DATASETS.TRAIN:
        for test in cfg.DATASETS.TEST:
            root = dataset_root(train)
            if train == test or (root is not None and root == dataset_root(test)):
                raise UserError(
                    f'DATASETS.TRAIN "{train}" and DATASETS.TEST "{test}" are the same videos; '
                    "evaluate on a split that is not trained on."
                )
    check_model(cfg)


def check_model(cfg: CfgNode) -> None:
    """Check that a configuration is of one model that can be built here.

    Raises:
        UserError: if it is of a pipeline, or if its architecture or device does not exist.
    """
    if cfg.PIPELINE.SEGMENTER.CONFIG_FILE:
        raise UserError(
            "the configuration is of a pipeline, which tools/infer_hidden.py runs; give one of a "
            f"single model, such as its segmenter's, {cfg.PIPELINE.SEGMENTER.CONFIG_FILE}."
        )
    architectures = sorted(name for name, _ in META_ARCH_REGISTRY)
    if cfg.MODEL.META_ARCHITECTURE not in architectures:
        raise UserError(
            f'MODEL.META_ARCHITECTURE "{cfg.MODEL.META_ARCHITECTURE}" is no architecture; '
            f"use one of {', '.join(architectures)}."
        )
    if torch.device(cfg.MODEL.DEVICE).type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f'MODEL.DEVICE is "{cfg.MODEL.DEVICE}", but PyTorch sees no GPU here; '
            "use MODEL.DEVICE cpu."
        )


def setup(args: argparse.Namespace) -> CfgNode:
    """Read and check the configuration of a run, write it to OUTPUT_DIR, and start its log.

    Args:
        args: of ``default_argument_parser``.

    Returns:
        the configuration, frozen.

    Raises:
        UserError: see :func:`load_config` and :func:`check_config`.
    """
    cfg = load_config(args.config_file, args.opts)
    check_config(cfg)
    cfg.freeze()
    default_setup(cfg, args)
    # Detectron2's logger is its own; ours is another.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name=vps_d2.__name__)
    logger = logging.getLogger(__name__)
    logger.info("Engine %s, device %s: %s", ENGINE, cfg.MODEL.DEVICE, _device_name(cfg))
    return cfg


def _device_name(cfg: CfgNode) -> str:
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"


def _sentence(error: Exception) -> str:
    # A KeyError shows its message in quotes.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
