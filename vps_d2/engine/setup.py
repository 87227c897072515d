"""From a command line to a checked configuration and a log."""

import argparse
import logging
import math
import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
import yaml

import vps_d2.modeling  # registers the architectures
from vps_d2.checkpoint_files import read_checkpoint
from vps_d2.config import get_vps_cfg
from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.engine import DefaultTrainer, TrainerBase, default_setup
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.utils import comm
from vps_d2.d2.utils.logger import setup_logger
from vps_d2.data.datasets import dataset_root
from vps_d2.errors import UserError, shorten_record

MAPPERS = {
    "predictor": ("FutureFramesMapper",),
    "segmenter": ("FrameMapper",),
    "mask_predictor": ("FutureMasksMapper", "TracksMapper"),
}
"""INPUT.MAPPER of each kind of model in a pipeline, which tells them apart."""

# What a value has to be, in words, and whether it is in a configuration.
_Rule = tuple[str, Callable[[Any, CfgNode], bool]]


def _at_least(least: int) -> _Rule:
    return f"a whole number of {least} or more", lambda value, _: value >= least


def _one_of(*names: str) -> _Rule:
    return f"one of {', '.join(names)}", lambda value, _: value in names


def _are_steps(steps: Sequence[int], cfg: CfgNode) -> bool:
    # Those beyond the end are left out, with a warning.
    kept = [step for step in steps if step <= cfg.SOLVER.MAX_ITER]
    rising = all(one < next_one for one, next_one in zip([0, *kept], kept, strict=False))
    return cfg.SOLVER.LR_SCHEDULER_NAME != "WarmupMultiStepLR" or (
        rising and cfg.SOLVER.MAX_ITER not in kept
    )


_RULES: dict[str, _Rule] = {
    "MODEL.DEVICE": ("cpu or cuda", lambda device, _: torch.device(device) is not None),
    "INPUT.NUM_INPUT_FRAMES": _at_least(1),
    "INPUT.NUM_TARGET_FRAMES": _at_least(1),
    "INPUT.TARGET_GAP": _at_least(0),
    "DATALOADER.NUM_WORKERS": _at_least(0),
    "SOLVER.IMS_PER_BATCH": _at_least(1),
    "SOLVER.MAX_ITER": _at_least(1),
    "SOLVER.CHECKPOINT_PERIOD": _at_least(1),
    "SOLVER.BASE_LR": ("a finite number above 0", lambda rate, _: 0 < rate < math.inf),
    "SOLVER.LR_SCHEDULER_NAME": _one_of(
        "WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"
    ),
    "SOLVER.WARMUP_METHOD": _one_of("linear", "constant"),
    "SOLVER.BASE_LR_END": (
        "a number from 0 to SOLVER.BASE_LR",
        lambda rate, cfg: (
            cfg.SOLVER.LR_SCHEDULER_NAME != "WarmupCosineLR" or 0 <= rate <= cfg.SOLVER.BASE_LR
        ),
    ),
    "SOLVER.STEPS": ("iterations that rise and end before SOLVER.MAX_ITER", _are_steps),
    "PIPELINE.BATCH_SIZE": _at_least(1),
}
# How a value of each type is written.
_KINDS = {
    "int": "a whole number",
    "float": "a number with a point, such as 1.0",
    "bool": "True or False",
    "str": 'text, such as "{}"',
    "tuple": "a tuple, such as ({},)",
    "list": "a list, such as [{}]",
}
_MISMATCH = re.compile(
    r"Type mismatch \(<class '(.+?)'> vs\. <class '(.+?)'>\) "
    r"with values \(.* vs\. (.*)\) for config key: (\S+)"
)


def load_config(config_file: str | Path = "", opts: Sequence[str] = ()) -> CfgNode:
    """Read a configuration.

    Args:
        config_file: a YAML file; "" for the defaults.
        opts: keys and values in turn, which override the file.

    Returns:
        the configuration, not frozen.

    Raises:
        UserError: if the file, or one that it builds on, is missing or no table in YAML, or if a
            key is unknown or has a value of the wrong type or out of its range.
    """
    cfg = get_vps_cfg()
    if config_file:
        if not Path(config_file).is_file():
            raise UserError(f"config file {config_file} does not exist; check --config-file.")
        try:
            _check_file(Path(config_file))
            # Detectron2 would by default run the code that a YAML's tags name.
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
        except UserError:
            raise
        except OSError as error:
            raise UserError(
                f"config file {error.filename}, which {config_file} builds on, cannot be read; "
                "check its _BASE_."
            ) from error
        except (KeyError, TypeError, ValueError, AssertionError, yaml.YAMLError) as error:
            raise UserError(f"config file {config_file}: {_words(error)}.") from error
    merge_opts(cfg, opts)
    return cfg


def _check_file(path: Path, above: Sequence[Path] = ()) -> None:
    """Check that a file is a table, and so are all that it builds on, of which it is none."""
    if path.resolve() in above:
        raise UserError(f"config file {path} builds on itself; change the _BASE_ in it.")
    with path.open() as file:
        content = yaml.safe_load(file)
    if not isinstance(content, dict):
        raise UserError(f"config file {path} holds no keys; write them as KEY: VALUE in YAML.")
    bases = content.get("_BASE_", [])
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"config file {path}: _BASE_ is {base}; give the path of a file.")
        if "://" not in base:
            _check_file(path.parent / Path(base).expanduser(), (*above, path.resolve()))


def merge_opts(cfg: CfgNode, opts: Sequence[str]) -> None:
    """Override keys of a configuration in place, and check its values.

    Args:
        cfg: not frozen.
        opts: keys and values in turn.

    Raises:
        UserError: if a key is unknown, or a value is of the wrong type or out of its range.
    """
    try:
        cfg.merge_from_list(list(opts))
    except ValueError as error:
        raise UserError(f"command line: {_words(error)}.") from error
    except (KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"command line: {_words(error)}; overrides are written as KEY VALUE KEY VALUE."
        ) from error
    check_values(cfg)


def check_values(cfg: CfgNode) -> None:
    """Check that no value is one with which nothing can run.

    Raises:
        UserError: if a number is out of its range, or a name means nothing.
    """
    for key, (words, is_met) in _RULES.items():
        value = attrgetter(key)(cfg)
        try:
            met = is_met(value, cfg)
        except (TypeError, RuntimeError):  # None can be given for any value
            met = False
        if not met:
            raise UserError(f"{key} is {value!r}; give {words}.")


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


def check_run(cfg: CfgNode, resume: bool) -> None:
    """Check that training overwrites no run in OUTPUT_DIR, and has something left to do.

    Args:
        cfg: configuration.
        resume: go on with the run in OUTPUT_DIR, if there is one.

    Raises:
        UserError: if OUTPUT_DIR holds a run that is not to be resumed, or that is finished.
    """
    tag = Path(cfg.OUTPUT_DIR, "last_checkpoint")
    if not tag.is_file():
        return
    if not resume:
        raise UserError(
            f"OUTPUT_DIR {cfg.OUTPUT_DIR} holds a run already; give --resume to go on with it, or "
            "another OUTPUT_DIR, or remove it."
        )
    done = read_checkpoint(str(tag.with_name(tag.read_text().strip()))).get("iteration", -1) + 1
    end = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size()).SOLVER.MAX_ITER
    if done >= end:
        raise UserError(
            f"the run in OUTPUT_DIR {cfg.OUTPUT_DIR} is finished: it has {done} iterations of "
            f"{end}; raise SOLVER.MAX_ITER to go on, or evaluate it with --eval-only."
        )


def setup(args: argparse.Namespace) -> CfgNode:
    """Read and check the configuration of a run, write it to OUTPUT_DIR, and start its log.

    Args:
        args: of ``default_argument_parser``.

    Returns:
        the configuration, frozen.

    Raises:
        UserError: if there are no weights to evaluate; see also :func:`load_config`,
            :func:`check_config` and :func:`check_run`.
    """
    cfg = load_config(args.config_file, args.opts)
    check_config(cfg)
    if not args.eval_only:
        check_run(cfg, args.resume)
    elif not (cfg.MODEL.WEIGHTS or args.resume):
        raise UserError(
            "--eval-only has no weights to evaluate; name some, as in MODEL.WEIGHTS "
            "package://unet.pth, or give --resume for the last of OUTPUT_DIR."
        )
    cfg.freeze()
    default_setup(cfg, args)
    # Detectron2's logger is its own; ours is another.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name=vps_d2.__name__)
    logging.getLogger(TrainerBase.__module__).addFilter(shorten_record)
    logger = logging.getLogger(__name__)
    logger.info("Engine %s, device %s: %s", ENGINE, cfg.MODEL.DEVICE, _device_name(cfg))
    return cfg


def _device_name(cfg: CfgNode) -> str:
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"


def _words(error: Exception) -> str:
    # A KeyError shows its message in quotes.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = " ".join(text.split())
    mismatch = _MISMATCH.fullmatch(text)
    if mismatch:
        wanted, given, value, key = mismatch.groups()
        example = f'"{value}"' if given == "str" else value
        kind = _KINDS.get(wanted, "keys of its own, each with a value").format(example)
        return f"{key} is {value}, but wants {kind}"
    if isinstance(error, TypeError):
        return f"a key is unknown ({text})"
    return text.rstrip(".")
