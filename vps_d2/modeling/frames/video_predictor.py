"""The architectures that predict frames: dataset dicts in, frames out.

Shapes: ``N`` videos, ``T_in`` input and ``T_out`` predicted frames, ``H`` rows, ``W`` columns;
RGB. Outside the network, values are 0-255.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.batch import batch_sum
from vps_d2.modeling.frames.convlstm import ConvLSTMNetwork
from vps_d2.modeling.frames.simvp import SimVPNetwork
from vps_d2.modeling.frames.translators import TRANSLATORS
from vps_d2.modeling.outputs import FramesOutput
from vps_d2.modeling.precision import wants_channels_last
from vps_d2.modeling.tasks import Task


class VideoPredictor(PixelArchitecture):
    """A network over frames, behind Detectron2's model interface.

    Args:
        network: maps normalized frames ``(N, T_in, 3, H, W)`` to ``(N, T_out, 3, H, W)``.
        pixel_mean: of the three channels, 0-255.
        pixel_std: of the three channels, 0-255.
    """

    task: Task = "frames"

    @configurable
    def __init__(
        self,
        *,
        network: nn.Module,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        self.network = network

    @classmethod
    def build_network(cls, cfg: CfgNode) -> nn.Module:
        """Build the network that a configuration describes."""
        raise TypeError(f"{cls.__name__} does not build a network")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            "network": cls.build_network(cfg),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[FramesOutput]:
        """Predict frames.

        Args:
            batched_inputs: for each video ``frames`` uint8 ``(T_in, 3, H, W)``, all of one size,
                and if only one frame is needed, its ``target_index``, from 0 on.

        Returns:
            for each video the frames, or only the needed one, ``(1, 3, H, W)``, if that saves the
            model work.

        Raises:
            UserError: if the frames are not of one size.
        """
        indices = {video.get("target_index") for video in batched_inputs}
        index = indices.pop() if len(indices) == 1 else None
        frames = self.stack([video["frames"] for video in batched_inputs], "videos")
        predicted = self.predict(frames, index)
        pixels = predicted.float() * self.pixel_std + self.pixel_mean
        return [{"frames": video} for video in pixels.clamp(0, 255)]

    def predict(self, frames: torch.Tensor, index: int | None) -> torch.Tensor:
        """Run the network on normalized frames ``(N, T_in, 3, H, W)``.

        Args:
            frames: of the input.
            index: of the only frame that is needed; None for all. A model for which that saves no
                work predicts all anyway.
        """
        predicted: torch.Tensor = self.network(frames)
        return predicted

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the loss of a batch.

        Args:
            batched_inputs: as :meth:`infer` takes them, with ``target_frames`` uint8 ``(T_out, 3,
                H, W)`` and ``target_valid`` bool ``(T_out,)``. A video without them has no valid
                target.

        Returns:
            ``loss_mse``, the mean squared error of the valid targets in normalized values; 0 if
            there is none.

        Raises:
            UserError: if the frames are not of one size.
        """
        frames = self.stack([video["frames"] for video in batched_inputs], "videos")
        predicted = self.network(frames).float()
        targets = torch.zeros_like(predicted)
        valid = torch.zeros(predicted.shape[:2], dtype=torch.bool, device=self.device)
        for index, video in enumerate(batched_inputs):
            if "target_frames" in video:
                targets[index] = self.normalize(video["target_frames"])
                valid[index] = video["target_valid"].to(self.device)
        errors = (predicted - targets).square().mean(dim=(2, 3, 4))
        # A sum over nothing is 0 but still has a gradient, which every process of a group needs.
        total, count = batch_sum((errors * valid).sum()), batch_sum(valid.sum())
        return {"loss_mse": total / count.clamp(min=1)}


@META_ARCH_REGISTRY.register()
class SimVP(VideoPredictor):
    """SimVP, by the keys of MODEL.SIMVP (:class:`SimVPNetwork`)."""

    @classmethod
    def build_network(cls, cfg: CfgNode) -> nn.Module:
        """Build the network that a configuration describes.

        Raises:
            UserError: if MODEL.SIMVP.TRANSLATOR is unknown.
        """
        simvp = cfg.MODEL.SIMVP
        if simvp.TRANSLATOR not in TRANSLATORS:
            names = ", ".join(sorted(TRANSLATORS))
            raise UserError(
                f'MODEL.SIMVP.TRANSLATOR must be one of {names}, not "{simvp.TRANSLATOR}".'
            )
        return SimVPNetwork(
            num_input_frames=cfg.INPUT.NUM_INPUT_FRAMES,
            num_output_frames=cfg.INPUT.NUM_TARGET_FRAMES,
            hidden_spatial=simvp.HIDDEN_SPATIAL,
            hidden_temporal=simvp.HIDDEN_TEMPORAL,
            num_spatial_layers=simvp.NUM_SPATIAL_LAYERS,
            num_temporal_layers=simvp.NUM_TEMPORAL_LAYERS,
            translator=simvp.TRANSLATOR,
            patch_size=simvp.PATCH_SIZE,
            residual=simvp.RESIDUAL,
            channels_last=wants_channels_last(cfg),
        )

    def predict(self, frames: torch.Tensor, index: int | None) -> torch.Tensor:
        """Decode only the needed frame."""
        if index is None:
            return super().predict(frames, index)
        assert isinstance(self.network, SimVPNetwork)
        return self.network.predict_one(frames, index)


@META_ARCH_REGISTRY.register()
class ConvLSTM(VideoPredictor):
    """ConvLSTM, by the keys of MODEL.CONVLSTM (:class:`ConvLSTMNetwork`)."""

    @classmethod
    def build_network(cls, cfg: CfgNode) -> nn.Module:
        """Build the network that a configuration describes."""
        return ConvLSTMNetwork(
            num_output_frames=cfg.INPUT.NUM_TARGET_FRAMES,
            hidden_channels=cfg.MODEL.CONVLSTM.HIDDEN_CHANNELS,
            kernel_size=cfg.MODEL.CONVLSTM.KERNEL_SIZE,
            patch_size=cfg.MODEL.CONVLSTM.PATCH_SIZE,
            channels_last=wants_channels_last(cfg),
        )
