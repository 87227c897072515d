"""ConvLSTM reconstruction: from the first frames of a video directly to one later frame.

Shapes: ``N`` videos, ``T_in`` input frames, ``C`` channels of a frame, ``H`` rows, ``W`` columns.
Frames are float, of any range.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.io.errors import UserError
from vps_d2.modeling.frames.convlstm import ConvLSTMCell
from vps_d2.modeling.frames.simvp import ConvBlock, pad_to_multiple
from vps_d2.modeling.frames.video_predictor import VideoPredictor
from vps_d2.modeling.precision import use_channels_last, wants_channels_last


class ReconstructorNetwork(nn.Module):
    """Convolutions and max pooling on each frame, ConvLSTM over time, bilinear upsampling.

    The ConvLSTM reads the frames one after another; upsampling and convolutions turn its state
    after the last one into a frame.

    Args:
        channels: ``C``.
        encoder_channels: of the convolutions on a frame; max pooling before each but the first
            halves the resolution. The decoder has the same in reverse.
        hidden_channels: of each layer of the ConvLSTM.
        kernel_size: of the ConvLSTM's gates, odd, pixels.
        residual: predict the change from the last input frame.
        channels_last: keep the channels innermost in memory; faster in bfloat16.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        encoder_channels: Sequence[int] = (8, 16, 32, 64),
        hidden_channels: Sequence[int] = (64, 64),
        kernel_size: int = 5,
        residual: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if not encoder_channels or not hidden_channels:
            raise ValueError("a reconstructor needs a convolution and a layer of ConvLSTM")
        self.residual = residual
        self.stride = 2 ** (len(encoder_channels) - 1)
        self.encoder = nn.ModuleList(
            ConvBlock(in_channels=left, out_channels=right)
            for left, right in pairwise([channels, *encoder_channels])
        )
        self.cells = nn.ModuleList(
            ConvLSTMCell(in_channels=left, hidden_channels=right, kernel_size=kernel_size)
            for left, right in pairwise([encoder_channels[-1], *hidden_channels])
        )
        self.hidden_channels = tuple(hidden_channels)
        self.decoder = nn.ModuleList(
            ConvBlock(in_channels=left, out_channels=right)
            for left, right in pairwise([hidden_channels[-1], *reversed(encoder_channels)])
        )
        self.readout = nn.Conv2d(encoder_channels[0], channels, 3, padding=1)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        if channels_last:
            use_channels_last(self)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Reconstruct one frame of the future.

        Args:
            frames: ``(N, T_in, C, H, W)`` with any ``T_in``; H and W need not be multiples of the
                stride.

        Returns:
            ``(N, 1, C, H, W)``.
        """
        num_videos, _, _, height, width = frames.shape
        x = pad_to_multiple(frames.flatten(0, 1), self.stride)
        x = x.contiguous(memory_format=self.memory_format)
        for index, layer in enumerate(self.encoder):
            x = layer(F.max_pool2d(x, 2) if index else x)
        x = self._read(x.unflatten(0, (num_videos, -1)))
        for index, layer in enumerate(self.decoder):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(x)
        x = self.readout(x)[..., :height, :width].unsqueeze(1)
        return frames[:, -1:] + x if self.residual else x

    def _read(self, features: torch.Tensor) -> torch.Tensor:
        """Return the hidden state of the last layer after features ``(N, T_in, C, H, W)``."""
        shape = features.shape
        zeros = [
            features.new_zeros(shape[0], channels, *shape[-2:]) for channels in self.hidden_channels
        ]
        states = [(hidden, hidden) for hidden in zeros]
        x = features[:, 0]
        for step in range(features.shape[1]):
            x = features[:, step].contiguous(memory_format=self.memory_format)
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
        return x


@META_ARCH_REGISTRY.register()
class ConvLSTMReconstructor(VideoPredictor):
    """The reconstructor of one later frame, by the keys of MODEL.RECONSTRUCTOR."""

    @classmethod
    def build_network(cls, cfg: CfgNode) -> nn.Module:
        """Build the network that a configuration describes.

        Raises:
            UserError: if INPUT.NUM_TARGET_FRAMES is not 1.
        """
        if cfg.INPUT.NUM_TARGET_FRAMES != 1:
            raise UserError(
                "ConvLSTMReconstructor predicts one frame, but INPUT.NUM_TARGET_FRAMES is "
                f"{cfg.INPUT.NUM_TARGET_FRAMES}; set it to 1, and INPUT.TARGET_GAP to the number "
                "of frames in between."
            )
        keys = cfg.MODEL.RECONSTRUCTOR
        return ReconstructorNetwork(
            encoder_channels=keys.CHANNELS,
            hidden_channels=keys.HIDDEN_CHANNELS,
            kernel_size=keys.KERNEL_SIZE,
            residual=keys.RESIDUAL,
            channels_last=wants_channels_last(cfg),
        )
