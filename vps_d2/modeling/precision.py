"""The number format that models compute in, and the memory format."""

from contextlib import AbstractContextManager

import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def amp_dtype(cfg: CfgNode) -> torch.dtype:
    """Return the dtype that SOLVER.AMP.DTYPE names.

    Raises:
        UserError: if it names none.
    """
    if cfg.SOLVER.AMP.DTYPE not in _DTYPES:
        raise UserError(
            f'SOLVER.AMP.DTYPE "{cfg.SOLVER.AMP.DTYPE}" is no number format; '
            f"use one of {', '.join(_DTYPES)}."
        )
    return _DTYPES[cfg.SOLVER.AMP.DTYPE]


def inference_autocast(cfg: CfgNode) -> AbstractContextManager:
    """Return a context in which a model infers in the format that it was trained in.

    It follows SOLVER.AMP.ENABLED and SOLVER.AMP.DTYPE, as training does, on MODEL.DEVICE. With
    AMP off, or float32, it changes nothing.
    """
    dtype = amp_dtype(cfg)
    enabled = cfg.SOLVER.AMP.ENABLED and dtype != torch.float32
    return torch.autocast(
        torch.device(cfg.MODEL.DEVICE).type, dtype=dtype if enabled else None, enabled=enabled
    )


def use_channels_last(model: nn.Module) -> nn.Module:
    """Lay out the weights of a model's 2D convolutions with the channels innermost, in place.

    Their outputs then follow, which is faster in bfloat16 on CPUs and GPUs.

    Returns:
        the model.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)
    return model
