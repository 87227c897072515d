"""Checkpoints of the public STCN, and of torchvision's backbones, under the names used here."""

from typing import Any

import torch

from vps_d2.modeling.vos.encoders import MobileNetKeyEncoder
from vps_d2.modeling.vos.network import STCNNetwork

_PREFIX = "network."
_VALUE_INPUT = "value_encoder.conv1.weight"
_INPUTS = 5  # of the value encoder: picture, mask, and mask of the other objects
# torchvision's names of the parts of ResNet-50 that the key encoder has.
_RESNET = {"conv1.": "conv1.", "bn1.": "bn1.", "layer1.": "res2.", "layer2.": "layer2.",
           "layer3.": "layer3."}  # fmt: skip


def to_our_names(weights: dict[str, Any], network: STCNNetwork) -> dict[str, Any]:
    """Return the weights of a checkpoint under the names of the architecture.

    The public STCN has the names of :class:`STCNNetwork`; here they begin with "network.". Its
    checkpoints that were trained with one object have a value encoder of four channels, which gets
    a fifth of zeros, for the other objects.

    Args:
        weights: by name, of this project, the public STCN, or an ImageNet model of torchvision with
            the backbone of the network's key encoder; others are returned as they are.
        network: to load them into.
    """
    bare = {
        name.removeprefix("module.").removeprefix(_PREFIX): value for name, value in weights.items()
    }
    if any(name.startswith("features.") for name in bare):
        return _of_mobilenet(bare, network)
    if "layer4.0.conv1.weight" in bare:
        return {
            f"{_PREFIX}key_encoder.{new}{name.removeprefix(old)}": value
            for name, value in bare.items()
            for old, new in _RESNET.items()
            if name.startswith(old)
        }
    if not any(name.startswith("key_encoder.") for name in bare):
        return weights
    value = bare.get(_VALUE_INPUT)
    if isinstance(value, torch.Tensor) and value.ndim == 4 and value.shape[1] == _INPUTS - 1:
        bare[_VALUE_INPUT] = torch.cat([value, torch.zeros_like(value[:, :1])], 1)
    return {_PREFIX + name: value for name, value in bare.items()}


def _of_mobilenet(bare: dict[str, Any], network: STCNNetwork) -> dict[str, Any]:
    """Return the first layers of MobileNetV2; their order is the same in all its versions."""
    if not isinstance(network.key_encoder, MobileNetKeyEncoder):
        return bare
    wanted = [f"{_PREFIX}key_encoder.{name}" for name in network.key_encoder.state_dict()]
    given = [value for name, value in bare.items() if name.startswith("features.")]
    return dict(zip(wanted, given, strict=False))
