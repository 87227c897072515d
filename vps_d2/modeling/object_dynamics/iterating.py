"""A step that is taken again and again."""

from collections.abc import Callable, Sequence

import torch

Tensors = Sequence[torch.Tensor]

# Before 2.7, PyTorch does not say; vps-d2 export needs a newer one.
_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)


def iterate(step: Callable[[Tensors], Tensors], first: Tensors, times: int) -> list[torch.Tensor]:
    """Take a step again and again.

    An exported program has the step once, in a loop. Elsewhere its operations follow each other, as
    that is faster, and has derivatives.

    Args:
        step: from tensors to as many of the same shapes. It makes no tensors of numbers: a program
            cannot keep constants in a loop.
        first: tensors before the first step.
        times: how often the step is taken.

    Returns:
        each tensor before the first step and after each one, ``(times + 1, ...)``.
    """
    if _is_exporting():
        from torch._higher_order_ops import scan

        def body(now: Tensors, _: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
            after = tuple(step(now))
            return after, tuple(each.clone() for each in after)  # the loop wants two of them

        _, later = scan(body, tuple(first), torch.zeros(times))
        return [torch.cat([one[None], more]) for one, more in zip(first, later, strict=True)]
    history = [first]
    for _ in range(times):
        history.append(step(history[-1]))
    return [torch.stack(each) for each in zip(*history, strict=True)]
