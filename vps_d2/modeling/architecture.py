"""The common base of all architectures: networks behind Detectron2's model interface."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from vps_d2.io.errors import UserError
from vps_d2.modeling.tasks import Task


class Architecture(nn.Module, ABC):
    """Dataset dicts in; a dict of losses in training, a list of outputs in inference.

    Attributes:
        task: what the model does; its outputs have the types in :mod:`vps_d2.modeling.outputs`.
        keeps_statistics: batch normalization keeps its statistics in training.
    """

    task: Task
    keeps_statistics: bool = False

    def train(self, mode: bool = True) -> "Architecture":
        """Switch to training, or back from it."""
        super().train(mode)
        if self.keeps_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()
        return self

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return next(self.parameters()).device

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Run :meth:`compute_losses` in training, and :meth:`infer` in inference."""
        if self.training:
            return self.compute_losses(batched_inputs)
        return self.infer(batched_inputs) if batched_inputs else []

    @abstractmethod
    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch: scalars by name."""

    @abstractmethod
    def infer(self, batched_inputs: list[dict[str, Any]]) -> Sequence[Any]:
        """Return an output for each input of a batch, which is not empty."""


class PixelArchitecture(Architecture):
    """An architecture over pictures, which it normalizes.

    Args:
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, pixel_mean: Sequence[float], pixel_std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)

    def normalize(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return pictures ``(..., 3, H, W)``, 0-255, normalized and on the device of the model."""
        return (pictures.to(self.device) - self.pixel_mean) / self.pixel_std

    def stack(self, pictures: Sequence[torch.Tensor], noun: str) -> torch.Tensor:
        """Return a batch of pictures ``(..., 3, H, W)``, normalized: ``(N, ..., 3, H, W)``.

        Args:
            pictures: of one size.
            noun: what they are called.

        Raises:
            UserError: if they are of different sizes.
        """
        check_one_size(pictures, noun)
        return self.normalize(torch.stack([each.to(self.device) for each in pictures]))


class MaskArchitecture(Architecture):
    """An architecture over class maps."""

    def stack_masks(self, batched_inputs: list[dict[str, Any]], num_input: int) -> torch.Tensor:
        """Return the ``masks`` of a batch on the device of the model, ``(N, T_in, H, W)``.

        Args:
            batched_inputs: each with ``masks`` uint8 ``(T_in, H, W)``.
            num_input: ``T_in``.

        Raises:
            UserError: if they have different sizes, or another number.
        """
        masks = [video["masks"] for video in batched_inputs]
        check_one_size(masks, "masks")
        for count in map(len, masks):
            if count != num_input:
                raise UserError(
                    f"the mask predictor needs {num_input} masks of a video, not {count}; give as "
                    "many."
                )
        return torch.stack([each.to(self.device) for each in masks])


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
        raise UserError(
            f"{noun} of {text} pixels are in one batch; use frames of one size, or batches of 1."
        )
