"""Checkpoints of the public MiVOS, and of ImageNet models, under the names used here."""

from typing import Any

from torch import nn

from vps_d2.modeling.s2m.small import SmallS2M

_PREFIX = "network."


def to_our_names(weights: dict[str, Any], network: nn.Module) -> dict[str, Any]:
    """Return the weights of a checkpoint under the names of the architecture.

    The public ``s2m.pth`` has the names of :class:`DeepLabS2M`; here they begin with "network.".

    Args:
        weights: by name, of this project, the public MiVOS, or a MobileNetV2 of torchvision, with
            whose features the encoder of the small network begins; others are returned as they are.
        network: to load them into.
    """
    bare = {
        name.removeprefix("module.").removeprefix(_PREFIX): value for name, value in weights.items()
    }
    if isinstance(network, SmallS2M) and any(name.startswith("features.") for name in bare):
        # Versions of MobileNetV2 number their layers differently, in the same order.
        wanted = [f"{_PREFIX}encoder.{name}" for name in network.encoder.state_dict()]
        given = [value for name, value in bare.items() if name.startswith("features.")]
        return dict(zip(wanted, given, strict=False))
    own = network.state_dict().keys()
    if not bare.keys() & own:
        return weights
    return {_PREFIX + name: value for name, value in bare.items()}
