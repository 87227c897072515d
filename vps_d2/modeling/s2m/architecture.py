"""Scribble-to-mask behind Detectron2's model interface.

Shapes: ``N`` pictures, ``H`` rows, ``W`` columns.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.data.vos.simulated_strokes import StrokeMaps, correct
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.outputs import ObjectMaskOutput
from vps_d2.modeling.s2m.deeplab import DeepLabS2M
from vps_d2.modeling.s2m.public_weights import to_our_names
from vps_d2.modeling.s2m.small import SmallS2M
from vps_d2.modeling.tasks import Task

_GUIDES = ("mask", "positive", "negative")


class S2MNetwork(Protocol):
    """What a network for :class:`S2M` can do; see :class:`DeepLabS2M`."""

    stride: int

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what can be computed of normalized pictures ``(N, 3, H, W)`` alone."""

    def decode(self, features: tuple[torch.Tensor, ...], guides: torch.Tensor) -> torch.Tensor:
        """Return logits ``(N, 1, H, W)``, given masks and strokes ``(N, 3, H, W)``."""


NETWORKS: dict[str, Callable[[], nn.Module]] = {"deeplab": DeepLabS2M, "small": SmallS2M}
"""Makers of networks by the names in MODEL.S2M.NETWORK."""


@META_ARCH_REGISTRY.register()
class S2M(PixelArchitecture):
    """Scribble-to-mask as an architecture.

    Args:
        network: an :class:`S2MNetwork`.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        rounds: of a picture in training; in each one after the first, a stroke is added on an error
            of the last mask.
        dice_weight: of the Dice loss beside the cross-entropy, whose weight is 1.
        frozen: train no parameter under ``encoder`` in the network.
    """

    task: Task = "object_mask"
    keeps_statistics = True  # as batches are small

    @configurable
    def __init__(
        self,
        *,
        network: nn.Module,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        rounds: int = 3,
        dice_weight: float = 1.0,
        frozen: bool = False,
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        self.network: Any = network
        self.rounds = rounds
        self.dice_weight = dice_weight
        if frozen and isinstance(encoder := getattr(network, "encoder", None), nn.Module):
            encoder.requires_grad_(False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.MODEL.S2M
        if keys.NETWORK not in NETWORKS:
            raise UserError(
                f'MODEL.S2M.NETWORK must be one of {", ".join(NETWORKS)}, not "{keys.NETWORK}".'
            )
        return {
            "network": NETWORKS[keys.NETWORK](),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "rounds": keys.ROUNDS,
            "dice_weight": keys.DICE,
            "frozen": keys.FREEZE_ENCODER,
        }

    def adapt_weights(self, weights: dict[str, Any], strict: bool) -> dict[str, Any]:
        """Return the weights of a checkpoint under the names of this model.

        Args:
            weights: of this project, of the public MiVOS, or, unless ``strict``, of torchvision's
                MobileNetV2, with which the small network begins.
            strict: whether all weights of the model must be there.
        """
        return to_our_names(weights, self.network)

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[ObjectMaskOutput]:
        """Find objects.

        Args:
            batched_inputs: of each picture ``image`` uint8 ``(3, H, W)``, and bool ``(H, W)``:
                ``mask``, what is known so far, ``positive`` and ``negative``, the strokes. Sizes
                that are no multiples of the network's stride are padded.
        """
        return [{"probability": self._infer_one(each)} for each in batched_inputs]

    def _infer_one(self, inputs: dict[str, Any]) -> torch.Tensor:
        height, width = inputs["image"].shape[-2:]
        padding = (0, -width % self.network.stride, 0, -height % self.network.stride)
        guides = torch.stack([inputs[name].to(self.device).float() for name in _GUIDES])
        features = self.network.encode(F.pad(self.normalize(inputs["image"])[None], padding))
        logits = self.network.decode(features, F.pad(guides[None], padding))
        return logits[0, 0, :height, :width].float().sigmoid()

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch of pictures, means over pictures and rounds.

        Args:
            batched_inputs: as for :meth:`infer`, all of one size, a multiple of the network's
                stride, and the truth ``object_mask``, bool ``(H, W)``.
        """
        pixels = self.stack([each["image"] for each in batched_inputs], "pictures")
        truths = torch.stack([each["object_mask"] for each in batched_inputs]).to(self.device)
        guides = torch.stack(
            [torch.stack([each[name] for name in _GUIDES]) for each in batched_inputs]
        )
        features = self.network.encode(pixels)
        rng = np.random.default_rng(np.random.randint(1 << 31, size=4))
        losses = []
        for number in range(self.rounds):
            logits = self.network.decode(features, guides.to(self.device, torch.float32))[:, 0]
            losses.append(_losses(logits.float(), truths.float()))
            if number + 1 < self.rounds:
                guides = _next_guides(rng, truths.cpu(), logits.detach().cpu() > 0, guides)
        entropy, dice = torch.stack(losses).mean(0).unbind()
        return {"loss_cross_entropy": entropy, "loss_dice": self.dice_weight * dice}


def _losses(logits: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy and Dice loss of masks ``(N, H, W)``, means over them, ``(2,)``."""
    entropy = F.binary_cross_entropy_with_logits(logits, truths)
    found = logits.sigmoid()
    both = (found * truths).sum((1, 2))
    dice = 1 - (2 * both + 1) / (found.sum((1, 2)) + truths.sum((1, 2)) + 1)
    return torch.stack([entropy, dice.mean()])


def _next_guides(
    rng: np.random.Generator, truths: torch.Tensor, masks: torch.Tensor, guides: torch.Tensor
) -> torch.Tensor:
    """Return guides of the masks, with a further stroke on an error of each; all on the CPU."""
    following = []
    for truth, mask, given in zip(truths.numpy(), masks.numpy(), guides.numpy(), strict=True):
        maps = correct(rng, truth, mask, StrokeMaps(given[1], given[2]))
        following.append(np.stack([mask, *maps]))
    return torch.from_numpy(np.stack(following))
