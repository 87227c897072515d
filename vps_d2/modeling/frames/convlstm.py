"""ConvLSTM: a recurrent predictor of video, one frame at a time (arXiv 1506.04214).

Shapes: ``N`` videos, ``T_in`` input and ``T_out`` predicted frames, ``C`` channels of a frame,
``H`` rows, ``W`` columns. Frames are float, of any range.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.frames.simvp import pad_to_multiple
from vps_d2.modeling.precision import use_channels_last

State = tuple[torch.Tensor, torch.Tensor]
"""Hidden state and cell, each ``(N, hidden_channels, H, W)``."""


class ConvLSTMCell(nn.Module):
    """An LSTM whose gates are convolutions, without peepholes.

    Args:
        in_channels: of the input.
        hidden_channels: of hidden state and cell.
        kernel_size: odd, pixels.
    """

    def __init__(self, *, in_channels: int, hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        # One convolution of input and state for all gates.
        self.gates = nn.Conv2d(
            in_channels + hidden_channels,
            4 * hidden_channels,
            kernel_size,
            padding=kernel_size // 2,
            bias=False,
        )

    def forward(self, x: torch.Tensor, state: State) -> State:
        """Return the state after the input ``(N, in_channels, H, W)``."""
        hidden, cell = state
        gates = self.gates(torch.cat([x, hidden.to(x.dtype)], dim=1))
        write, forget, read, update = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(update)
        return torch.sigmoid(read) * torch.tanh(cell), cell


class ConvLSTMNetwork(nn.Module):
    """Layers of ConvLSTM that read the input frames and then their own predictions.

    Args:
        num_output_frames: ``T_out``.
        channels: ``C``.
        hidden_channels: of each layer.
        kernel_size: of the gates, odd, pixels.
        patch_size: side of the squares of pixels that become channels.
        channels_last: keep the channels innermost in memory; faster in bfloat16.
    """

    def __init__(
        self,
        *,
        num_output_frames: int,
        channels: int = 3,
        hidden_channels: Sequence[int] = (128, 128, 128, 128),
        kernel_size: int = 5,
        patch_size: int = 4,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.num_output_frames = num_output_frames
        self.patch_size = patch_size
        self.hidden_channels = tuple(hidden_channels)
        pixels = channels * patch_size**2
        widths = [pixels, *hidden_channels]
        self.cells = nn.ModuleList(
            ConvLSTMCell(in_channels=left, hidden_channels=right, kernel_size=kernel_size)
            for left, right in pairwise(widths)
        )
        self.readout = nn.Conv2d(widths[-1], pixels, 1, bias=False)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        if channels_last:
            use_channels_last(self)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Predict the frames that follow.

        Args:
            frames: ``(N, T_in, C, H, W)`` with any ``T_in``; H and W need not be multiples of the
                patch size.

        Returns:
            ``(N, T_out, C, H, W)``.
        """
        num_videos, num_frames, _, height, width = frames.shape
        x = F.pixel_unshuffle(
            pad_to_multiple(frames.flatten(0, 1), self.patch_size), self.patch_size
        )
        patches = x.reshape(num_videos, num_frames, *x.shape[1:])
        states = [self._zeros(patches[:, 0], channels) for channels in self.hidden_channels]
        outputs: list[torch.Tensor] = []
        for step in range(num_frames + self.num_output_frames - 1):
            x = patches[:, step] if step < num_frames else outputs[-1].to(patches.dtype)
            x = x.contiguous(memory_format=self.memory_format)
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            if step >= num_frames - 1:
                outputs.append(self.readout(x))
        predicted = F.pixel_shuffle(torch.stack(outputs, dim=1), self.patch_size)
        return predicted[..., :height, :width]

    def _zeros(self, x: torch.Tensor, channels: int) -> State:
        shape = (x.shape[0], channels, *x.shape[-2:])
        zeros = torch.zeros(shape, device=x.device, dtype=x.dtype)
        zeros = zeros.contiguous(memory_format=self.memory_format)
        return zeros, zeros
