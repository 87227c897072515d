"""The network of MaskSimVP: SimVP with other channels out than in, in two halves.

Shapes: ``N`` videos, ``T_in`` input and ``T_out`` predicted frames, ``C_in`` and ``C_out``
channels, ``H`` rows, ``W`` columns.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.frames.simvp import SimVPNetwork, pad_to_multiple
from vps_d2.modeling.precision import use_channels_last


class MaskSimVPNetwork(SimVPNetwork):
    """SimVP with other channels out than in, and frames that can be encoded one at a time.

    Where ``T_in`` and ``T_out`` differ, a 1x1 convolution makes the skips from the last input frame
    alone: what moves has left where it was in the frames before.

    Args:
        in_channels: ``C_in`` of a frame.
        out_channels: ``C_out`` of a predicted frame.
        num_input_frames: ``T_in``.
        num_output_frames: ``T_out``.
        hidden_spatial: channels of encoder and decoder (``hid_S``).
        kwargs: further arguments of :class:`SimVPNetwork`.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        num_input_frames: int,
        num_output_frames: int,
        hidden_spatial: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            channels=in_channels,
            num_input_frames=num_input_frames,
            num_output_frames=num_output_frames,
            hidden_spatial=hidden_spatial,
            **kwargs,
        )
        self.readout = nn.Conv2d(hidden_spatial, out_channels * self.patch_size**2, 1)
        if num_input_frames != num_output_frames:
            self.skip_over_time = nn.Conv2d(hidden_spatial, num_output_frames * hidden_spatial, 1)
        if self.memory_format == torch.channels_last:
            use_channels_last(self)  # SimVPNetwork laid out its own; these two came later

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode single frames.

        Args:
            frames: ``(N, T, C_in, H, W)``, any ``T``.

        Returns:
            features ``(N, T, hid_S, H / stride, W / stride)``, and those of the first layer, at the
            resolution of the patches, for the skip; sizes are rounded up.
        """
        num_videos = len(frames)
        x = pad_to_multiple(frames.flatten(0, 1), self.stride)
        if self.patch_size > 1:
            x = F.pixel_unshuffle(x, self.patch_size)
        skip = x = self.encoder[0](x.contiguous(memory_format=self.memory_format))
        for layer in self.encoder[1:]:
            x = layer(x)
        return x.unflatten(0, (num_videos, -1)), skip.unflatten(0, (num_videos, -1))

    def predict(
        self, features: torch.Tensor, skip: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """Predict the frames that follow ``T_in`` encoded ones.

        Args:
            features: of :meth:`encode`.
            skip: of :meth:`encode`; where ``T_in`` and ``T_out`` differ, the last frame is enough.
            size: H and W of the frames.

        Returns:
            ``(N, T_out, C_out, H, W)``.
        """
        num_videos = len(features)
        x = self.translator(features.flatten(1, 2).contiguous(memory_format=self.memory_format))
        if self.num_input_frames != self.num_output_frames:
            last = skip[:, -1].contiguous(memory_format=self.memory_format)
            skip = self.skip_over_time(last)
        x, skip = (
            each.reshape(num_videos * self.num_output_frames, -1, *each.shape[-2:]).contiguous(
                memory_format=self.memory_format
            )
            for each in (x, skip)
        )
        for layer in self.decoder[:-1]:
            x = layer(x)
        x = self.readout(self.decoder[-1](x + skip))
        if self.patch_size > 1:
            x = F.pixel_shuffle(x, self.patch_size)
        return x[..., : size[0], : size[1]].unflatten(0, (num_videos, -1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Map ``(N, T_in, C_in, H, W)`` to ``(N, T_out, C_out, H, W)``."""
        height, width = frames.shape[-2:]
        return self.predict(*self.encode(frames), (height, width))
