"""The number format that models compute in, and the memory format; by default the fastest.

bfloat16 takes at most half the time of float32 if the device has instructions for it; otherwise it
is emulated and takes 4-16 times as long. With channels last, bfloat16 is always faster. In float32,
only models of single frames gain from channels last (U-Net and Mask R-CNN, 10-20 % in inference and
nothing in training); models of videos lose 4-25 % (SimVP, MaskSimVP, ConvLSTM).
"""

import logging
import platform
from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.modeling.tasks import find_task

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def find_dtype(cfg: CfgNode) -> tuple[torch.dtype, str]:
    """Return the number format that autocast casts to, float32 if it casts nothing, and why.

    It follows SOLVER.AMP.ENABLED and SOLVER.AMP.DTYPE; "auto" means bfloat16 if MODEL.DEVICE has
    instructions for it, otherwise float32. The configuration keeps its "auto", so that a model is
    the same one on every machine.

    Raises:
        UserError: if SOLVER.AMP.DTYPE is unknown.
    """
    name = cfg.SOLVER.AMP.DTYPE
    if name != "auto" and name not in _DTYPES:
        raise UserError(f"SOLVER.AMP.DTYPE must be one of auto, {', '.join(_DTYPES)}, not {name}.")
    if not cfg.SOLVER.AMP.ENABLED:
        return torch.float32, "SOLVER.AMP.ENABLED is False"
    if name != "auto":
        return _DTYPES[name], f"SOLVER.AMP.DTYPE is {name}"
    able, reason = computes_in_bfloat16(cfg.MODEL.DEVICE)
    return torch.bfloat16 if able else torch.float32, reason


def wants_channels_last(cfg: CfgNode) -> bool:
    """Return whether a model's convolutions should use the channels-last memory format.

    It follows MODEL.CHANNELS_LAST; None means the format that is faster in the number format.
    """
    if cfg.MODEL.CHANNELS_LAST is not None:
        return bool(cfg.MODEL.CHANNELS_LAST)
    return find_dtype(cfg)[0] != torch.float32 or find_task(cfg) == "segmentation"


@cache
def computes_in_bfloat16(device: str) -> tuple[bool, str]:
    """Return whether a device has instructions for bfloat16, and a sentence about it.

    The variables ``ONEDNN_MAX_CPU_ISA`` and ``ATEN_CPU_CAPABILITY`` limit those of a CPU.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name(device)
    elif kind == "cpu":
        able = _cpu_computes_in_bfloat16()
        name = f"the CPU ({torch.backends.cpu.get_cpu_capability()})"
    else:
        able, name = False, f"device {kind}"
    return able, f"{name} {'computes' if able else 'does not compute'} in bfloat16"


def _cpu_computes_in_bfloat16() -> bool:
    # These functions are not public, but only they respect the limits that the user set, and
    # distinguish AVX-512 with bfloat16 from AVX-512 without, on which oneDNN emulates it.
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    checks = (
        "_is_avx512_bf16_supported",
        "_is_amx_tile_supported",
    )  # PyTorch 2.4 does not have both
    has_instructions = any(getattr(torch.cpu, name, bool)() for name in checks)
    return has_instructions and torch.backends.cpu.get_cpu_capability() == "AVX512"


def log_precision(cfg: CfgNode) -> None:
    """Log how a model computes, and why; once for several models that compute alike."""
    dtype, reason = find_dtype(cfg)
    memory = "channels last" if wants_channels_last(cfg) else "contiguous"
    if cfg.MODEL.CHANNELS_LAST is not None:
        reason += f", MODEL.CHANNELS_LAST is {cfg.MODEL.CHANNELS_LAST}"
    name = str(dtype).removeprefix("torch.")
    _log_once(f"Computing in {name}, {memory}: {reason}.")


@cache
def _log_once(message: str) -> None:
    logging.getLogger(__name__).info(message)


def inference_autocast(cfg: CfgNode) -> AbstractContextManager:
    """Return a context in which a model infers in the number format of :func:`find_dtype`.

    In float32 it changes nothing.
    """
    dtype, _ = find_dtype(cfg)
    enabled = dtype != torch.float32
    return torch.autocast(
        torch.device(cfg.MODEL.DEVICE).type, dtype=dtype if enabled else None, enabled=enabled
    )


def use_channels_last(model: nn.Module) -> nn.Module:
    """Convert the weights of a model's 2D convolutions to channels last, in place.

    Their outputs then follow.

    Returns:
        the model.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)
    return model
