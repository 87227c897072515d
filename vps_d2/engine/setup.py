"""From a command line to a checked configuration and a log file."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

import vps_d2.modeling  # registers the architectures
from vps_d2.config.loading import load_config
from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.engine import DefaultTrainer, TrainerBase, default_setup
from vps_d2.d2.utils import comm
from vps_d2.d2.utils.logger import setup_logger
from vps_d2.data.datasets import dataset_root
from vps_d2.data.metadata import check_taxonomies, write_taxonomy
from vps_d2.engine.evaluators import check_evaluators
from vps_d2.engine.hooks import read_evaluated
from vps_d2.io.checkpoints import read_checkpoint
from vps_d2.io.errors import UserError, shorten_record
from vps_d2.io.files import DISK_ERRORS, write_errors, write_text
from vps_d2.io.folders import claim_folder
from vps_d2.io.resources import config_path
from vps_d2.modeling.build import check_model
from vps_d2.modeling.checkpoint import find_last


def check_config(cfg: CfgNode) -> None:
    """Check what a configuration names.

    Raises:
        UserError: if a data set, architecture or device does not exist, if training and
            evaluation share a data set or the folder of one, or if data sets differ in classes.
    """
    known = DatasetCatalog.list()
    for key in ("TRAIN", "TEST"):
        for name in cfg.DATASETS[key]:
            if name not in known:
                ours = ", ".join(sorted(each for each in known if each.startswith("vps_")))
                raise UserError(
                    f'DATASETS.{key} names "{name}", which is not a data set; name the file that '
                    f"registers it after --import, or use one of {ours}."
                )
    for train in cfg.DATASETS.TRAIN:
        for test in cfg.DATASETS.TEST:
            root = dataset_root(train)
            if train == test or (root is not None and root == dataset_root(test)):
                raise UserError(
                    f'DATASETS.TRAIN "{train}" and DATASETS.TEST "{test}" are the same videos; '
                    "evaluate on a split that is not trained on."
                )
    check_taxonomies(cfg)
    check_model(cfg)


def check_run(cfg: CfgNode, resume: bool) -> None:
    """Check that training overwrites no run in OUTPUT_DIR, and is not finished.

    Args:
        cfg: configuration.
        resume: go on with the run in OUTPUT_DIR, if there is one.

    Raises:
        UserError: if OUTPUT_DIR holds a run, and ``resume`` is False or the run is finished.
    """
    last = find_last(cfg.OUTPUT_DIR)
    if last is None:
        return
    if not resume:
        raise UserError(
            f"OUTPUT_DIR {cfg.OUTPUT_DIR} already holds a run; resume it with --resume, remove "
            "it, or choose another OUTPUT_DIR."
        )
    done = _read_iteration(last) + 1
    end = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size()).SOLVER.MAX_ITER
    if done > end or (done == end and read_evaluated(cfg.OUTPUT_DIR) >= done):
        raise UserError(
            f"the run in OUTPUT_DIR {cfg.OUTPUT_DIR} is finished: it has {done} iterations of "
            f"{end}; raise SOLVER.MAX_ITER to continue it, or evaluate it with --eval-only."
        )


def _read_iteration(path: Path) -> int:
    """Return the last iteration in a checkpoint of a run."""
    loaded = read_checkpoint(str(path))
    iteration = loaded.get("iteration") if isinstance(loaded, dict) else None
    if type(iteration) is not int or iteration < 0:
        raise UserError(
            f"checkpoint {path} does not hold its iteration, so its run cannot be resumed; name "
            "an older one in last_checkpoint, or choose another OUTPUT_DIR."
        )
    return iteration


@contextmanager
def setup(args: argparse.Namespace) -> Iterator[CfgNode]:
    """Read and check the configuration of a run, write it to OUTPUT_DIR, and start its log.

    No other run can use OUTPUT_DIR until this context ends.

    Args:
        args: of ``vps-d2 train``.

    Yields:
        the configuration, frozen.

    Raises:
        UserError: if there are no weights to evaluate, or another run is in OUTPUT_DIR; see also
            :func:`load_config`, :func:`check_config` and :func:`check_run`.
    """
    cfg = load_config(args.config_file, args.opts)
    check_config(cfg)
    check_evaluators(cfg)
    if args.eval_only and not (cfg.MODEL.WEIGHTS or args.resume):
        raise UserError(
            "--eval-only has no weights to evaluate; give some, as in MODEL.WEIGHTS "
            "package://unet.pth, or give --resume for the last checkpoint in OUTPUT_DIR."
        )
    with _claim(cfg.OUTPUT_DIR), write_errors(cfg.OUTPUT_DIR, DISK_ERRORS):
        comm.synchronize()  # the other processes write nothing before this
        if not args.eval_only:
            check_run(cfg, args.resume)
        write_taxonomy(cfg)
        cfg.freeze()
        _start(cfg, args)
        yield cfg


def _claim(folder: str) -> AbstractContextManager[object]:
    """Claim the folder of a run, in its main process for all."""
    if folder and comm.is_main_process():
        return claim_folder(folder, parts=("inference",))
    return nullcontext()


def _start(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Start the log of a run, and write its configuration to OUTPUT_DIR."""
    if cfg.OUTPUT_DIR and comm.is_main_process():
        # Whole, or not at all; Detectron2's function, which writes the same once more, would leave
        # an empty file on a full disk, and on resuming take the old one.
        write_text(Path(cfg.OUTPUT_DIR, "config.yaml"), cfg.dump())
    # Detectron2's function reads the file once more, to log it.
    path = config_path(args.config_file)
    default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": path}))
    # Detectron2 has its own logger; this is ours.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name=vps_d2.__name__)
    logging.getLogger(TrainerBase.__module__).addFilter(shorten_record)
    logger = logging.getLogger(__name__)
    logger.info("Engine %s, device %s: %s", ENGINE, cfg.MODEL.DEVICE, _device_name(cfg))


def _device_name(cfg: CfgNode) -> str:
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"
