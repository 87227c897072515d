"""Whether an exported file computes what the model computes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vps_d2.inference.export.formats import Runner
from vps_d2.inference.export.steps import Sizes, Step, Tensors
from vps_d2.io.errors import UserError

TOLERANCE = 1e-4
"""Largest difference of an output, over its largest value or over 1 if that is smaller."""

_CHECKED = (Sizes(1, 64, 96), Sizes(2, 90, 122), Sizes(4, 100, 48))
"""Sizes of made inputs: one and several at once, wide and upright, and no round numbers."""


@dataclass(frozen=True)
class Agreement:
    """How well a file agrees with the model.

    Attributes:
        difference: the largest one of all outputs; see :data:`TOLERANCE`.
        num_inputs: on how many inputs it was found.
    """

    difference: float
    num_inputs: int


def compare(step: Step, run: Runner, given: Sequence[Tensors] = ()) -> Agreement:
    """Compare a file with the model.

    Args:
        step: that the file is of.
        run: runs the file.
        given: inputs to compare on, before made ones of several sizes.

    Raises:
        UserError: if they differ, or if nothing was found in any input.
    """
    inputs = [*given, *(step.make(_fit(sizes, step)) for sizes in _CHECKED)]
    largest, filled = 0.0, False
    for each in inputs:
        with torch.inference_mode():
            wanted = [output.numpy() for output in step.reference(*each)]
        sizes = " and ".join("x".join(map(str, value.shape)) for value in each)
        try:
            found = run([value.numpy() for value in each])
        except Exception as error:  # each runtime has errors of its own
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise UserError(
                f"the exported file does not run on an input of {sizes} ({reason}); nothing was "
                "written, so report it, or try another format."
            ) from error
        for name, one, other in zip(step.outputs, wanted, found, strict=True):
            difference = difference_of(one, other)
            if difference > TOLERANCE:
                raise UserError(
                    f"the exported file is wrong: on an input of {sizes}, its {name} differ by "
                    f"{difference:.1e} from those of PyTorch, more than "
                    f"{TOLERANCE:.0e}; nothing was written, so report it, or try another format."
                )
            largest = max(largest, difference)
            filled = filled or other.size > 0
    if not filled:
        raise UserError(
            "the model finds nothing in the pictures that the export is checked on, so nothing "
            "can be compared; give a video with objects that it knows with --input."
        )
    return Agreement(largest, len(inputs))


def difference_of(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference of two arrays over the largest value, or over 1.

    Of whole numbers, such as classes, it is the share of those that are not equal.

    Returns:
        infinity if their shapes or types differ, or infinities or NaN are in other places.
    """
    if wanted.shape != found.shape or wanted.dtype != found.dtype:
        return float("inf")
    if not np.issubdtype(wanted.dtype, np.floating):
        return float((wanted != found).mean()) if wanted.size else 0.0
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], found[~finite], equal_nan=True):
        return float("inf")
    one, other = wanted[finite].astype(np.float64), found[finite].astype(np.float64)
    scale = max(1.0, float(np.abs(one).max(initial=0)))
    difference = float(np.abs(one - other).max(initial=0)) / scale
    return difference if difference == difference else float("inf")


def _fit(sizes: Sizes, step: Step) -> Sizes:
    """Return sizes that a step takes."""
    sides = (max(side, step.least) for side in sizes[1:])
    height, width = (side // step.multiple * step.multiple for side in sides)
    return Sizes(sizes.number, height, width)
