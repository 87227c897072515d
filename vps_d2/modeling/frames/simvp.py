"""SimVP: video prediction with convolutions alone (arXiv 2206.05099).

Shapes: ``N`` videos, ``T_in`` input and ``T_out`` predicted frames, ``C_in`` and ``C_out`` channels
of a frame, ``H`` rows, ``W`` columns. Frames are float, of any range.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.frames.translators import TRANSLATORS
from vps_d2.modeling.precision import use_channels_last


class ConvBlock(nn.Sequential):
    """A 3x3 convolution, group normalization and SiLU; it can halve or double the resolution.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        downsample: halve rows and columns.
        upsample: double rows and columns, by pixel shuffle.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        downsample: bool = False,
        upsample: bool = False,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            4 * out_channels if upsample else out_channels,
            kernel_size=3,
            stride=2 if downsample else 1,
            padding=1,
        )
        nn.init.trunc_normal_(conv.weight, std=0.02)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        shuffle = [nn.PixelShuffle(2)] if upsample else []
        super().__init__(conv, *shuffle, nn.GroupNorm(2, out_channels), nn.SiLU())


class SimVPNetwork(nn.Module):
    """Encoder of single frames, translator over time, decoder with a skip from the encoder.

    With ``T_in == T_out``, ``C_in == C_out``, ``patch_size`` 1 and ``residual`` off it is the
    published network. If the numbers of frames differ, the skips of the predicted frames are
    learned: mixed from those of all input frames, or only from the last one, since moving objects
    have left their places in earlier frames.

    Args:
        num_input_frames: ``T_in``.
        num_output_frames: ``T_out``.
        channels: ``C_in``.
        out_channels: ``C_out``; None for as many as in.
        hidden_spatial: channels of encoder and decoder (``hid_S``).
        hidden_temporal: channels of the translator (``hid_T``).
        num_spatial_layers: layers of encoder and of decoder (``N_S``); every second one changes
            the resolution.
        num_temporal_layers: layers of the translator (``N_T``).
        translator: name in TRANSLATORS.
        translator_options: arguments of this translator that others do not have.
        patch_size: side of the squares of pixels that become channels before the encoder.
        residual: predict the change from the last input frame. Most pixels of a video do not
            change, which then need not be learned.
        skip_last: if ``T_in`` and ``T_out`` differ, make the skips from the last input frame.
        channels_last: keep the channels innermost in memory; faster in bfloat16.
    """

    def __init__(
        self,
        *,
        num_input_frames: int,
        num_output_frames: int,
        channels: int = 3,
        out_channels: int | None = None,
        hidden_spatial: int = 64,
        hidden_temporal: int = 512,
        num_spatial_layers: int = 4,
        num_temporal_layers: int = 8,
        translator: str = "gSTA",
        translator_options: Mapping[str, Any] | None = None,
        patch_size: int = 1,
        residual: bool = False,
        skip_last: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if num_spatial_layers < 2:
            raise ValueError(f"SimVP needs at least 2 spatial layers, not {num_spatial_layers}")
        self.num_input_frames = num_input_frames
        self.num_output_frames = num_output_frames
        self.hidden_spatial = hidden_spatial
        self.patch_size = patch_size
        self.residual = residual
        changes = [layer % 2 == 1 for layer in range(num_spatial_layers)]
        self.stride = patch_size * 2 ** sum(changes)
        pixels = channels * patch_size**2
        self.encoder = nn.ModuleList(
            ConvBlock(
                in_channels=pixels if layer == 0 else hidden_spatial,
                out_channels=hidden_spatial,
                downsample=change,
            )
            for layer, change in enumerate(changes)
        )
        self.translator = TRANSLATORS[translator](
            in_channels=num_input_frames * hidden_spatial,
            hidden_channels=hidden_temporal,
            out_channels=num_output_frames * hidden_spatial,
            num_layers=num_temporal_layers,
            **(translator_options or {}),
        )
        self.decoder = nn.ModuleList(
            ConvBlock(in_channels=hidden_spatial, out_channels=hidden_spatial, upsample=change)
            for change in reversed(changes)
        )
        self.readout = nn.Conv2d(hidden_spatial, (out_channels or channels) * patch_size**2, 1)
        self.skip_last = skip_last
        self.skip_over_time: nn.Module = nn.Identity()
        if num_input_frames != num_output_frames:
            self.skip_over_time = (
                nn.Conv2d(hidden_spatial, num_output_frames * hidden_spatial, 1)
                if skip_last
                else nn.Conv3d(num_input_frames, num_output_frames, 1)
            )
        if residual:
            # Start as a copy of the last frame, a strong prediction where little moves.
            nn.init.zeros_(self.readout.weight)
            assert self.readout.bias is not None
            nn.init.zeros_(self.readout.bias)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        if channels_last:
            use_channels_last(self)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Predict the frames that follow.

        Args:
            frames: ``(N, T_in, C_in, H, W)``; H and W need not be multiples of the stride.

        Returns:
            ``(N, T_out, C_out, H, W)``.
        """
        return self._predict_those(frames, slice(None))

    def predict_one(self, frames: torch.Tensor, index: int) -> torch.Tensor:
        """Predict one frame without decoding the others, which saves two fifths of the work.

        Args:
            frames: as for :meth:`forward`.
            index: of the frame, from 0 to ``T_out - 1``.

        Returns:
            ``(N, 1, C_out, H, W)``.
        """
        return self._predict_those(frames, slice(index, index + 1))

    def _predict_those(self, frames: torch.Tensor, wanted: slice) -> torch.Tensor:
        if frames.shape[1] != self.num_input_frames:
            raise ValueError(f"expected {self.num_input_frames} frames, got {frames.shape[1]}")
        height, width = frames.shape[-2:]
        x = self.predict(*self.encode(frames), (height, width), wanted)
        return frames[:, -1:] + x if self.residual else x

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode single frames.

        Args:
            frames: ``(N, T, C_in, H, W)``, any ``T``.

        Returns:
            features ``(N, T, hid_S, H / stride, W / stride)``, and those of the first layer, at the
            resolution of the patches, for the skip; sizes are rounded up.
        """
        num_frames = frames.shape[1]
        x = pad_to_multiple(frames.flatten(0, 1), self.stride)
        if self.patch_size > 1:
            x = F.pixel_unshuffle(x, self.patch_size)
        skip = x = self.encoder[0](x.contiguous(memory_format=self.memory_format))
        for layer in self.encoder[1:]:
            x = layer(x)
        return x.unflatten(0, (-1, num_frames)), skip.unflatten(0, (-1, num_frames))

    def predict(
        self,
        features: torch.Tensor,
        skip: torch.Tensor,
        size: tuple[int, int],
        wanted: slice = slice(None),
    ) -> torch.Tensor:
        """Predict the frames that follow ``T_in`` encoded ones.

        Args:
            features: of :meth:`encode`.
            skip: of :meth:`encode`; with ``skip_last``, the last frame is enough.
            size: H and W of the frames.
            wanted: which of the frames to decode.

        Returns:
            ``(N, T_out, C_out, H, W)``, without the residual.
        """
        num_wanted = len(range(self.num_output_frames)[wanted])
        x = self.translator(features.flatten(1, 2).contiguous(memory_format=self.memory_format))
        if self.num_input_frames != self.num_output_frames:
            if self.skip_last:
                skip = skip[:, -1].contiguous(memory_format=self.memory_format)
            skip = self.skip_over_time(skip)
        x, skip = (
            each.reshape(-1, self.num_output_frames, self.hidden_spatial, *each.shape[-2:])[
                :, wanted
            ]
            .flatten(0, 1)
            .contiguous(memory_format=self.memory_format)
            for each in (x, skip)
        )
        for layer in self.decoder[:-1]:
            x = layer(x)
        x = self.readout(self.decoder[-1](x + skip))
        if self.patch_size > 1:
            x = F.pixel_shuffle(x, self.patch_size)
        return x[..., : size[0], : size[1]].unflatten(0, (-1, num_wanted))


def pad_to_multiple(frames: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad frames ``(N, C, H, W)`` below and to the right, by repeating the edge.

    Args:
        frames: of any size.
        multiple: of the rows and columns of the result, pixels.
    """
    # In this form, torch.export sees that the sum is a multiple.
    sides = frames.shape[-2:]
    bottom, right = ((side + multiple - 1) // multiple * multiple - side for side in sides)
    return F.pad(frames, (0, right, 0, bottom), mode="replicate")
