"""What the inputs of one batch must have in common."""

from collections.abc import Iterable

import torch

from vps_d2.io.errors import UserError


def check_one_size(images: Iterable[torch.Tensor], noun: str) -> None:
    """Check that the images of a batch can be stacked.

    Args:
        images: ``(..., H, W)`` each.
        noun: what they are called.

    Raises:
        UserError: if they are of different heights or widths.
    """
    sizes = {tuple(image.shape[-2:]) for image in images}
    if len(sizes) > 1:
        text = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise UserError(f"{noun} of {text} pixels are in one batch; use one size or a batch of 1.")
