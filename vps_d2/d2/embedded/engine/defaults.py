"""The defaults of a run: setup and writers."""

import argparse
import logging
import os
import platform
from operator import attrgetter

import numpy as np
import torch

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.env import seed_all_rng
from vps_d2.d2.embedded.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
)
from vps_d2.d2.embedded.utils.file_io import PathManager
from vps_d2.d2.embedded.utils.logger import setup_logger

__all__ = ["default_setup", "default_writers"]

# Keys of Detectron2's own mappers and samplers, which a file for both engines may hold. Each has
# the values that ask for nothing: the default, and what the project does anyway.
_IDLE_KEYS = {
    "INPUT.FORMAT": ("RGB",),
    "INPUT.MASK_FORMAT": ("polygon", "bitmask"),
    "INPUT.MIN_SIZE_TRAIN": ((800,), (0,)),
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": ("choice",),
    "INPUT.MAX_SIZE_TRAIN": (1333,),
    "INPUT.MIN_SIZE_TEST": (800, 0),
    "INPUT.MAX_SIZE_TEST": (1333,),
    "INPUT.CROP.ENABLED": (False,),
    "DATALOADER.SAMPLER_TRAIN": ("TrainingSampler",),
}


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Begin a run: make its folder, log, and a copy of its configuration, and set seeds.

    Args:
        cfg: configuration.
        args: of the command line, which are logged.
    """
    rank, folder = comm.get_rank(), cfg.OUTPUT_DIR
    if comm.is_main_process() and folder:
        PathManager.mkdirs(folder)
    setup_logger(folder, distributed_rank=rank, name="fvcore")
    logger = setup_logger(folder, distributed_rank=rank)
    logger.info("Rank of current process: %d. World size: %d", rank, comm.get_world_size())
    logger.info("Environment: %s", _describe_environment())
    logger.info("Command line arguments: %s", args)
    if comm.is_main_process() and folder:
        logger.info("Running with full config:\n%s", cfg.dump())
        path = os.path.join(folder, "config.yaml")
        with PathManager.open(path, "w", encoding="utf-8") as file:
            file.write(cfg.dump())
        logger.info("Full config saved to %s", path)
    _warn_of_idle_keys(cfg, logger)
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + rank)
    # Evaluation has images of many sizes, and cuDNN would try its algorithms on each.
    if not getattr(args, "eval_only", False):
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.FLOAT32_PRECISION and torch.cuda.is_available():
        torch.set_float32_matmul_precision(cfg.FLOAT32_PRECISION)
        torch.backends.cudnn.allow_tf32 = cfg.FLOAT32_PRECISION != "highest"


def _warn_of_idle_keys(cfg: CfgNode, logger: logging.Logger) -> None:
    for key, idle_values in _IDLE_KEYS.items():
        value = attrgetter(key)(cfg)
        if value not in idle_values:
            logger.warning(
                "%s is %r, which has no effect unless the mapper reads it: the embedded engine has "
                "none of Detectron2's own mappers and samplers. ClipInstanceMapper reads sizes and "
                "crops.",
                *(key, value),
            )


def _describe_environment() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.platform()}, Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"NumPy {np.__version__}, {torch.get_num_threads()} threads, {device}"
    )


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Return writers to the terminal, to ``metrics.json`` and to TensorBoard.

    Args:
        output_dir: folder of the files, made if it is missing.
        max_iter: iterations of the run.
    """
    PathManager.mkdirs(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]
