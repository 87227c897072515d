"""Checks of the values of a configuration: none with which nothing can run."""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch

from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError

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
    "MODEL.CHANNELS_LAST": ("True, False or None", lambda last, _: last in (None, True, False)),
    "MODEL.DEVICE": ("cpu or cuda", lambda device, _: torch.device(device) is not None),
    "INPUT.NUM_INPUT_FRAMES": _at_least(1),
    "INPUT.NUM_TARGET_FRAMES": _at_least(1),
    "INPUT.NUM_KNOWN_FRAMES": _at_least(0),
    "INPUT.TARGET_GAP": _at_least(0),
    "MODEL.MASK_SIMVP.ROLLOUT_TRAIN_STEPS": _at_least(0),
    "PIPELINE.TARGET_FRAME": _at_least(0),
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
