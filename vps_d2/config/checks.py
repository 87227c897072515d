"""Checks that reject configuration values with which nothing can run."""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch

from vps_d2.config.files import is_nameable
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError

# What a value must be, in words, and a function that checks it.
_Rule = tuple[str, Callable[[Any, CfgNode], bool]]

_MOST = 10**12
"""The largest value of most whole numbers; larger ones make computations fail."""
_MOST_CHANNELS = 1 << 16
_MOST_LAYERS = 1000
_MOST_WORKERS = 1024
_MOST_SIDE = 256
_MOST_FRAMES = 1024
_MOST_OBJECTS = 255
_LAST_SEED = 4_000_000_000
"""The largest seed: each process adds its rank, and NumPy's seeds end at 2^32."""


def _at_least(least: int, most: int = _MOST) -> _Rule:
    return (
        f"a whole number from {least:,} to {most:,}"
        if most != _MOST
        else f"a whole number of {least} or more",
        lambda value, _: type(value) is int and least <= value <= most,
    )


def _number(least: float, most: float = math.inf) -> _Rule:
    words = (
        f"a finite number of {least:g} or more"
        if most == math.inf
        else (f"a number from {least:g} to {most:g}")
    )
    return words, lambda value, _: math.isfinite(value) and least <= value <= most


def _one_of(*names: str) -> _Rule:
    return f"one of {', '.join(names)}", lambda value, _: value in names


def _each(words: str, rule: _Rule, count: int | None = None) -> _Rule:
    return (
        words,
        lambda values, cfg: (
            (len(values) == count if count is not None else len(values) > 0)
            and all(rule[1](value, cfg) for value in values)
        ),
    )


_CHANNELS = _at_least(1, _MOST_CHANNELS)
_LAYERS = _at_least(1, _MOST_LAYERS)
_SIDE = _at_least(1, _MOST_SIDE)
_ALL_CHANNELS = _each(f"whole numbers from 1 to {_MOST_CHANNELS:,}, one for a level", _CHANNELS)
_ODD: _Rule = (
    f"an odd number from 1 to {_MOST_SIDE}",
    lambda value, cfg: _SIDE[1](value, cfg) and value % 2 == 1,
)
_EVEN: _Rule = (
    f"an even number from 2 to {_MOST_CHANNELS:,}",
    lambda value, cfg: _CHANNELS[1](value, cfg) and value % 2 == 0,
)
_SHARE = _number(0, 1)
_RISING_FACTORS: _Rule = (
    "two rising numbers from 0.01 to 100",
    lambda values, _: len(values) == 2 and 0.01 <= values[0] <= values[1] <= 100,
)
_FINITE: _Rule = "a finite number", lambda value, _: math.isfinite(value)


def _is_device(name: str, _: CfgNode) -> bool:
    device = torch.device(name)
    known = device.type in ("cpu", "cuda", "mps", "xpu")
    return known and (device.type != "cpu" or not device.index)


def _is_crop(size: Sequence[float], cfg: CfgNode) -> bool:
    kind = cfg.INPUT.CROP.TYPE
    if len(size) != 2:
        return False
    if not kind.startswith("absolute"):
        return all(0 < share <= 1 for share in size)
    in_order = kind == "absolute" or size[0] <= size[1]
    return in_order and all(side == int(side) > 0 for side in size)


def _are_steps(steps: Sequence[int], cfg: CfgNode) -> bool:
    # Steps beyond the end are left out, with a warning.
    kept = [step for step in steps if step <= cfg.SOLVER.MAX_ITER]
    rising = all(one < next_one for one, next_one in zip([0, *kept], kept, strict=False))
    return cfg.SOLVER.LR_SCHEDULER_NAME != "WarmupMultiStepLR" or (
        rising and cfg.SOLVER.MAX_ITER not in kept
    )


def _is_expected_result(entry: Any, _: CfgNode) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 4
        and all(isinstance(name, str) for name in entry[:2])
        and all(isinstance(number, int | float) for number in entry[2:])
    )


def _of_mask_former() -> dict[str, _Rule]:
    former, head, plugin = "MODEL.MASK_FORMER.", "MODEL.SEM_SEG_HEAD.", "MODEL.CL_PLUGIN."

    def is_other(cfg: CfgNode) -> bool:
        # Models of Detectron2 use this head, too.
        return bool(cfg.MODEL.META_ARCHITECTURE != "VideoMaskFormer")

    channels: _Rule = (
        "a multiple of 32 and of MODEL.MASK_FORMER.NHEADS",
        lambda count, cfg: (
            is_other(cfg) or count > 0 == count % 32 == count % cfg.MODEL.MASK_FORMER.NHEADS
        ),
    )
    hidden: _Rule = (
        "a multiple of 4 and of MODEL.MASK_FORMER.NHEADS",
        lambda count, cfg: count > 0 == count % 4 == count % cfg.MODEL.MASK_FORMER.NHEADS,
    )
    return {
        **{f"{former}{name}_WEIGHT": _number(0) for name in ("CLASS", "MASK", "DICE", "NO_OBJECT")},
        **{
            f"{former}{name}": _CHANNELS
            for name in ("NUM_OBJECT_QUERIES", "DIM_FEEDFORWARD", "REID_HIDDEN_DIM")
        },
        former + "NHEADS": _at_least(1, _MOST_SIDE),
        former + "HIDDEN_DIM": hidden,
        former + "DEC_LAYERS": _LAYERS,
        former + "NUM_REID_HEAD_LAYERS": _at_least(0, _MOST_LAYERS),
        former + "DROPOUT": _SHARE,
        former + "SIZE_DIVISIBILITY": _at_least(0, _MOST_SIDE),
        former + "TRAIN_NUM_POINTS": _at_least(1),
        former + "OVERSAMPLE_RATIO": _number(1, 100),
        former + "IMPORTANCE_SAMPLE_RATIO": _SHARE,
        former + "TEST.SCORE_THRESH": _FINITE,
        former + "TEST.MASK_NMS_THRESH": _SHARE,
        former + "TEST.FRAMES_PER_BATCH": _at_least(1),
        head + "MASK_DIM": _CHANNELS,
        head + "CONVS_DIM": channels,
        head + "TRANSFORMER_ENC_LAYERS": _at_least(0, _MOST_LAYERS),
        head + "TRANSFORMER_DIM_FEEDFORWARD": _CHANNELS,
        head + "DEFORMABLE_TRANSFORMER_ENCODER_N_POINTS": _at_least(1, _MOST_SIDE),
        plugin + "REID_WEIGHT": _number(0),
        plugin + "AUX_REID_WEIGHT": _number(0),
    }


_NETWORKS: dict[str, _Rule] = {
    **{
        f"MODEL.{name}.{key}": rule
        for name in ("SIMVP", "MASK_SIMVP")
        for key, rule in (
            ("PATCH_SIZE", _SIDE),
            ("HIDDEN_SPATIAL", _EVEN),
            ("HIDDEN_TEMPORAL", _CHANNELS),
            ("NUM_SPATIAL_LAYERS", _at_least(2, _MOST_LAYERS)),
            ("NUM_TEMPORAL_LAYERS", _at_least(2, _MOST_LAYERS)),
        )
    },
    "MODEL.CONVLSTM.PATCH_SIZE": _SIDE,
    "MODEL.CONVLSTM.HIDDEN_CHANNELS": _ALL_CHANNELS,
    "MODEL.CONVLSTM.KERNEL_SIZE": _ODD,
    "MODEL.RECONSTRUCTOR.CHANNELS": _ALL_CHANNELS,
    "MODEL.RECONSTRUCTOR.HIDDEN_CHANNELS": _ALL_CHANNELS,
    "MODEL.RECONSTRUCTOR.KERNEL_SIZE": _ODD,
    "MODEL.UNET.PATCH_SIZE": _SIDE,
    "MODEL.UNET.CHANNELS": _ALL_CHANNELS,
    **{
        f"MODEL.VISTR.{key}": rule
        for key, rule in (
            ("NUM_INSTANCES", _at_least(1, _MOST_LAYERS)),
            ("CHANNELS", _CHANNELS),
            ("HEADS", _LAYERS),
            ("NUM_ENCODER_LAYERS", _LAYERS),
            ("NUM_DECODER_LAYERS", _LAYERS),
            ("FEEDFORWARD_CHANNELS", _CHANNELS),
            ("DROPOUT", _SHARE),
            ("PASS_OVERLAP", _at_least(0)),
            ("PASS_MIN_IOU", _SHARE),
            ("BACKBONE.WIDTH", _CHANNELS),
            ("BACKBONE.TRAINED_STAGES", _at_least(0, 4)),
            *(
                (f"LOSS.{name}", _number(0))
                for name in ("CLASS", "BOX", "GIOU", "MASK", "DICE", "NO_OBJECT_WEIGHT")
            ),
        )
    },
    "MODEL.MASK_SIMVP.SLOTS": _at_least(0, _MOST_SIDE),
    "MODEL.MASK_SIMVP.EMBEDDING": _at_least(0, _MOST_CHANNELS),
    "MODEL.MASK_SIMVP.MLP_RATIO": _number(0.01, 1000),
    "MODEL.MASK_SIMVP.ROLLOUT_TRAIN_STEPS": _at_least(0),
    "MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.PROB": _each("two numbers from 0 to 1", _SHARE, 2),
    "MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.ITERS": _at_least(1),
    "MODEL.OBJECT_DYNAMICS.NUM_LAYERS": _LAYERS,
    "MODEL.OBJECT_DYNAMICS.HEADS": (
        "a whole number that MODEL.OBJECT_DYNAMICS.CHANNELS is a multiple of",
        lambda heads, cfg: heads > 0 and cfg.MODEL.OBJECT_DYNAMICS.CHANNELS % heads == 0,
    ),
    "MODEL.OBJECT_DYNAMICS.CODE_SIZE": _CHANNELS,
    "MODEL.OBJECT_DYNAMICS.CHANNELS": _CHANNELS,
    "MODEL.OBJECT_DYNAMICS.MESSAGE_CHANNELS": _CHANNELS,
    "MODEL.OBJECT_DYNAMICS.DRAWING_CHANNELS": _CHANNELS,
    "MODEL.OBJECT_DYNAMICS.SUBSTEPS": _LAYERS,
    "MODEL.OBJECT_DYNAMICS.STATE_NOISE": _number(0),
    "MODEL.OBJECT_DYNAMICS.NUM_FUTURES": _at_least(1),
    "MODEL.OBJECT_DYNAMICS.MIN_PROBABILITY": _number(0),
    **_of_mask_former(),
    "MODEL.VOS.UNKNOWN_LAST": _SHARE,
    "MODEL.VOS.TOP_K": _at_least(1),
    "MODEL.VOS.MEMORY_EVERY": _at_least(1),
    "MODEL.VOS.MEMORY_FRAMES": _at_least(1),
    "MODEL.VOS.MEMORY_LATEST": (
        "a whole number from 1 to MODEL.VOS.MEMORY_FRAMES",
        lambda count, cfg: 1 <= count <= cfg.MODEL.VOS.MEMORY_FRAMES,
    ),
    "MODEL.VOS.FRAME_PROTOTYPES": _at_least(1),
    "MODEL.VOS.PROTOTYPES": _at_least(1),
    "MODEL.VOS.LOSS.BOOTSTRAP_ITERS": (
        "two rising whole numbers",
        lambda values, _: len(values) == 2 and values[0] < values[1],
    ),
    "MODEL.VOS.LOSS.BOOTSTRAP_SHARE": _number(1e-3, 1),
    "MODEL.VOS.LOSS.DICE": _number(0),
    "MODEL.S2M.ROUNDS": _at_least(1, _MOST_LAYERS),
    "MODEL.S2M.DICE": _number(0),
    "MODEL.PIXEL_MEAN": _each("three finite numbers", _FINITE, 3),
    "MODEL.PIXEL_STD": _each("three finite numbers above 0", _number(1e-9), 3),
    **{
        f"MODEL.{key}": _number(0)
        for key in (
            *(f"UNET.LOSS.{name}" for name in ("CROSS_ENTROPY", "DICE", "LOVASZ")),
            *(f"MASK_SIMVP.LOSS.{name}" for name in ("CROSS_ENTROPY", "JACCARD")),
            *(f"{name}.LOSS.BACKGROUND_WEIGHT" for name in ("UNET", "MASK_SIMVP")),
        )
    },
}

_RULES: dict[str, _Rule] = {
    **_NETWORKS,
    "MODEL.CHANNELS_LAST": ("True, False or None", lambda last, _: last in (None, True, False)),
    "MODEL.DEVICE": ("cpu or cuda", _is_device),
    "SEED": _at_least(-1, _LAST_SEED),
    "INPUT.NUM_INPUT_FRAMES": _at_least(1),
    "INPUT.NUM_TARGET_FRAMES": _at_least(1),
    "INPUT.NUM_KNOWN_FRAMES": _at_least(0),
    "INPUT.TARGET_GAP": _at_least(0),
    "INPUT.FRAMESKIP": _each("whole numbers of 1 or more", _at_least(1)),
    "DATASETS.REPEATS": (
        "empty, or whole numbers of 1 or more, one for each data set in DATASETS.TRAIN",
        lambda counts, cfg: (
            not counts
            or (
                len(counts) == len(cfg.DATASETS.TRAIN)
                and all(_at_least(1)[1](count, cfg) for count in counts)
            )
        ),
    ),
    "INPUT.BLUR.PROB": _SHARE,
    "INPUT.BLUR.SIGMA": _each("two numbers above 0 and up to 100", _number(1e-9, 100), 2),
    "INPUT.ZOOM.PROB": _SHARE,
    "INPUT.ZOOM.MAX": _number(1, 100),
    "INPUT.LOOK.LIGHT": _SHARE,
    "INPUT.LOOK.NOISE": _number(0, 255),
    "INPUT.LOOK.JPEG": _SHARE,
    "INPUT.LOOK.JPEG_QUALITY": (
        "two whole numbers from 1 to 100 in ascending order",
        lambda range_, _: (
            len(range_) == 2
            and all(type(each) is int for each in range_)
            and 1 <= range_[0] <= range_[1] <= 100
        ),
    ),
    **{
        f"INPUT.{key}": _SHARE
        for key in (
            *(f"MASK_NOISE.{name}" for name in ("PROB", "MISSED_OBJECT", "MISSED_FRAME", "ROUGH")),
            "TRACK_NOISE.MISSED_FRAME",
        )
    },
    "INPUT.CLIP.NUM_FRAMES": _at_least(1, _MOST_FRAMES),
    "INPUT.CLIP.RANGE": _at_least(0),
    "INPUT.CLIP.EMPTY_TRIES": _at_least(0, _MOST_LAYERS),
    "INPUT.CLIP.MOTION.ROTATION": _number(0, 180),
    "INPUT.CLIP.MOTION.SCALE": _RISING_FACTORS,
    "INPUT.CLIP.MOTION.SHIFT": _SHARE,
    **{
        f"INPUT.{key}": (
            "height and width, whole numbers from 32 to 4,096",
            lambda size, cfg: (
                len(size) == 2 and all(_at_least(32, 4096)[1](side, cfg) for side in size)
            ),
        )
        for key in ("VOS.SIZE", "S2M.SIZE", "S2M.SCENE_SIZE")
    },
    "INPUT.S2M.SPOILED": _SHARE,
    "INPUT.VOS.MAX_OBJECTS": _at_least(1, _MOST_OBJECTS),
    "INPUT.VOS.MAX_GAPS": (
        "whole numbers of 1 or more, one more than in INPUT.VOS.GAP_STEPS",
        lambda gaps, cfg: (
            len(gaps) == len(cfg.INPUT.VOS.GAP_STEPS) + 1
            and all(_at_least(1)[1](gap, cfg) for gap in gaps)
        ),
    ),
    "INPUT.VOS.GAP_STEPS": (
        "rising shares from 0 to 1",
        lambda steps, _: (
            list(steps) == sorted(set(steps)) and all(0 <= step <= 1 for step in steps)
        ),
    ),
    **{f"INPUT.VOS.{key}": _SHARE for key in ("LOOKALIKES", "REVERSE", "GRAY", "FAR_SHARE")},
    "INPUT.VOS.FAR_GAPS": (
        "two whole numbers of 1 or more in ascending order",
        lambda gaps, _: len(gaps) == 2 and 1 <= gaps[0] <= gaps[1],
    ),
    "INPUT.VOS.MIN_CROP": _number(0.05, 1),
    "INPUT.MIN_SIZE_TRAIN": _each("whole numbers of 0 or more", _at_least(0)),
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": (
        "choice, or range with two numbers in INPUT.MIN_SIZE_TRAIN",
        lambda style, cfg: (
            style == "choice" or (style == "range" and len(cfg.INPUT.MIN_SIZE_TRAIN) == 2)
        ),
    ),
    "INPUT.MAX_SIZE_TRAIN": _at_least(1),
    "INPUT.MIN_SIZE_TEST": _at_least(0),
    "INPUT.MAX_SIZE_TEST": _at_least(1),
    "INPUT.CROP.TYPE": _one_of("relative_range", "relative", "absolute", "absolute_range"),
    "INPUT.CROP.SIZE": (
        "two numbers above 0, shares of up to 1 or whole pixels as INPUT.CROP.TYPE says",
        _is_crop,
    ),
    "INPUT.MASK_NOISE.MAX_SHIFT": _at_least(0, _MOST_SIDE),
    "INPUT.TRACK_NOISE.PLACE": _number(0),
    # Batches are drawn in one way; another name would have no effect.
    "DATALOADER.SAMPLER_TRAIN": _one_of("TrainingSampler"),
    "DATALOADER.NUM_WORKERS": _at_least(0, _MOST_WORKERS),
    "TEST.EVAL_PERIOD": _at_least(0),
    "MODEL_EMA.DECAY": _SHARE,
    "MODEL_EMA.DECAY_WARM_UP_FACTOR": _at_least(-1),
    "TEST.PICTURE_PERIOD": _at_least(0),
    "TEST.NUM_PICTURES": _at_least(0, _MOST_WORKERS),
    "TEST.EXPECTED_RESULTS": (
        "a list of entries [task, metric, score, tolerance]",
        lambda entries, cfg: all(_is_expected_result(entry, cfg) for entry in entries),
    ),
    "PIPELINE.TARGET_FRAME": _at_least(0),
    "PIPELINE.SCORE_THRESH": _FINITE,
    "SOLVER.WEIGHT_DECAY": _number(0),
    "SOLVER.WEIGHT_DECAY_NORM": _number(0),
    "SOLVER.WEIGHT_DECAY_BIAS": (
        "a finite number of 0 or more, or None",
        lambda value, cfg: value is None or _number(0)[1](value, cfg),
    ),
    "SOLVER.BIAS_LR_FACTOR": _number(0),
    "SOLVER.BACKBONE_LR_FACTOR": _number(0),
    "SOLVER.MOMENTUM": _SHARE,
    "SOLVER.WARMUP_ITERS": _at_least(0),
    "SOLVER.WARMUP_FACTOR": _SHARE,
    "SOLVER.IMS_PER_BATCH": _at_least(1),
    "SOLVER.MAX_ITER": _at_least(1),
    "SOLVER.MAX_MINUTES": _number(0, 1e6),
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
    "SOLVER.STEPS": ("increasing iterations below SOLVER.MAX_ITER", _are_steps),
    "PIPELINE.BATCH_SIZE": _at_least(1),
}


def check_values(cfg: CfgNode) -> None:
    """Check that every value is one with which a run is possible.

    Raises:
        UserError: if a number is out of range, or a name is unknown.
    """
    _check_text(cfg)
    for key, (words, is_met) in _RULES.items():
        value = attrgetter(key)(cfg)
        try:
            met = is_met(value, cfg)
        except (TypeError, ValueError, RuntimeError, OverflowError):  # a value can be set to None
            met = False
        if not met:
            raise UserError(f"{key} must be {words}, not {value!r:.200}.")


def _check_text(cfg: CfgNode, above: str = "") -> None:
    """Check that every text could be the name of a file."""
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            _check_text(value, f"{above}{key}.")
        elif not is_nameable(str(value)):
            raise UserError(
                f"{above}{key} must be valid text without NUL bytes, not {value!r:.200}."
            )
