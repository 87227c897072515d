"""Layers that the parts of Mask R-CNN share."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from vps_d2.d2.embedded.errors import user_error

__all__ = ["Conv2d", "FeatureShape", "FrozenBatchNorm2d", "choose", "get_norm"]

Choice = TypeVar("Choice")


class FeatureShape(NamedTuple):
    """The properties of a feature map that do not depend on the image."""

    channels: int
    stride: int
    """Pixels of the image per pixel of the map."""


def choose(key: str, name: Any, choices: dict[Any, Choice]) -> Choice:
    """Return the choice that a configuration key names.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise user_error(
            f"{key} is {name!r}, which the embedded engine does not have; use one of {known}, or "
            "install Detectron2."
        )
    return choices[name]


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization whose statistics and weights are buffers, which are never trained.

    It keeps the input's dtype, and starts as the identity to the last bit.

    Args:
        num_features: channels of the input.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor
    eps = 1e-5

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features) - self.eps)
        self.register_load_state_dict_pre_hook(self._forget_the_count)

    @staticmethod
    def _forget_the_count(
        module: nn.Module, state_dict: dict[str, torch.Tensor], prefix: str, *_: object
    ) -> None:
        # Weights of a trained batch normalization include the number of batches.
        state_dict.pop(f"{prefix}num_batches_tracked", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize (N, C, H, W)."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (vector.to(x.dtype)[:, None, None] for vector in (scale, shift))
        return x * scale + shift


def _no_norm(channels: int) -> None:
    return None


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(32, channels)


_NORMS: dict[str, Callable[[int], nn.Module | None]] = {
    "": _no_norm,
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "FrozenBN": FrozenBatchNorm2d,
    "GN": _group_norm,
}


def get_norm(norm: str, channels: int) -> nn.Module | None:
    """Return a normalization by the name that configurations use; "" for none.

    Raises:
        ValueError: if the name is unknown.
    """
    return choose("NORM", norm, _NORMS)(channels)


class Conv2d(nn.Conv2d):
    """Convolution, then optional normalization and ReLU; it has a bias if nothing normalizes.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: side of the square kernel, which is odd; the input is padded by half of it.
        norm: name of the normalization; see :func:`get_norm`.
        relu: whether ReLU follows.
        bias: whether there is a bias; None for one if there is no normalization.
        kwargs: further arguments of ``torch.nn.Conv2d``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: str = "",
        relu: bool = False,
        bias: bool | None = None,
        **kwargs: Any,
    ) -> None:
        padding = kwargs.get("dilation", 1) * (kernel_size // 2)
        has_bias = not norm if bias is None else bias
        super().__init__(
            in_channels, out_channels, kernel_size, padding=padding, bias=has_bias, **kwargs
        )
        # Detectron2's checkpoints name the normalization inside its convolution.
        self.norm = get_norm(norm, out_channels)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (N, C_in, H, W) to (N, C_out, H', W')."""
        x = super().forward(x)
        if self.norm is not None:
            x = self.norm(x)
        return x.relu_() if self.relu else x
