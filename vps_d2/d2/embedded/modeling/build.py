"""Architectures by name."""

import torch
from torch import nn

from vps_d2.d2.embedded.config import CfgNode
from vps_d2.d2.embedded.utils.registry import Registry

__all__ = ["META_ARCH_REGISTRY", "build_model"]

META_ARCH_REGISTRY = Registry("META_ARCH")
META_ARCH_REGISTRY.__doc__ = """ Whole models by name, as in MODEL.META_ARCHITECTURE. Each is called
as ``model(cfg)`` and returns a module that takes a list of dicts; in training it returns a dict of
losses, in inference a list of dicts.
"""


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the model of MODEL.META_ARCHITECTURE on MODEL.DEVICE, with random weights.

    Raises:
        KeyError: if no architecture of this name is registered.
    """
    model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(torch.device(cfg.MODEL.DEVICE))
