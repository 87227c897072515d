"""A step: a network with tensors in and tensors out, of which an exported model has one or more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

Shape = tuple[int | str, ...]
"""Lengths of the axes of a tensor; a name stands for a length that may change from call to call."""
Tensors = tuple[torch.Tensor, ...]


class Sizes(NamedTuple):
    """The sizes of inputs: pictures, videos or objects, rows and columns."""

    number: int
    height: int
    width: int


@dataclass(frozen=True)
class Step:
    """A network with tensors in and tensors out.

    Attributes:
        name: of the step; "" if the model has only one.
        network: returns a tensor, or a tuple of them.
        inputs: shapes by name, in the order of the network's arguments.
        outputs: shapes by name.
        make: makes inputs of some sizes.
        reference: what the model itself computes of the same inputs, without what is exported.
        multiple: rows and columns are multiples of it.
        least: rows and columns are no fewer.
        about: what else a user has to know; "" for nothing.
        settings: what a program that uses it has to know, as JSON values by name.
        given: makes inputs of what a user gives: of masks uint8 ``(T, H, W)`` if an input is called
            so, else of pictures uint8 ``(T, 3, H, W)``; None if they cannot be made of it.
    """

    name: str
    network: nn.Module
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    make: Callable[[Sizes], Tensors]
    reference: Callable[..., Tensors]
    multiple: int = 1
    least: int = 1
    about: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Callable[[torch.Tensor], Tensors] | None = None
