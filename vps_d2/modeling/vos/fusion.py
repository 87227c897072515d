"""Difference-aware fusion behind Detectron2's model interface.

Shapes: ``N`` samples, ``K`` objects of a sample, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.utils.events import get_event_storage
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.outputs import FusedMasksOutput
from vps_d2.modeling.tasks import Task
from vps_d2.modeling.vos.architecture import STCN
from vps_d2.modeling.vos.fusion_network import (
    FUSION_NETWORKS,
    FusionNetwork,
    carry_over,
    changes,
)
from vps_d2.modeling.vos.losses import bootstrapped_cross_entropy, hard_share
from vps_d2.modeling.vos.network import NETWORKS, STCNNetwork, aggregate

_PREFIX = "network."


class FrozenPropagation:
    """A trained propagation network that gives keys to a fusion network, and is not trained.

    It is no part of the model, so it is not in the model's checkpoints. It is read when it is first
    used: in a session, the keys come from the engine.

    Args:
        network: its name in MODEL.VOS.NETWORK.
        weights: its checkpoint.
    """

    def __init__(self, network: str, weights: str) -> None:
        self.network, self.weights = network, weights
        self._loaded: STCNNetwork | None = None

    @property
    def stride(self) -> int:
        """The side of a cell, in pixels."""
        return self._load().stride

    @torch.no_grad()
    def keys(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the keys of normalized frames ``(N, 3, H, W)``.

        Raises:
            UserError: if no checkpoint is named, or it cannot be read.
        """
        return self._load().to(frames.device).encode_key(frames).key

    def _load(self) -> STCNNetwork:
        if self._loaded is not None:
            return self._loaded
        if not self.weights:
            raise UserError(
                "MODEL.FUSION.PROPAGATION is empty; name the checkpoint of the network that made "
                "the data, such as package://vos_small.pth."
            )
        # Neither its pixels nor its losses are used.
        model = STCN(network=NETWORKS[self.network](), pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3)
        SafeCheckpointer(model, strict=True).load(self.weights)
        self._loaded = model.eval().network
        return self._loaded


@META_ARCH_REGISTRY.register()
class FusionNet(PixelArchitecture):
    """The fusion of two masks as an architecture.

    Args:
        network: fuses the masks.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        propagation: what the keys of frames come from outside a session; None if they are not
            needed.
        bootstrap: see :class:`~vps_d2.modeling.vos.architecture.STCN`.
    """

    task: Task = "fused_masks"

    @configurable
    def __init__(
        self,
        *,
        network: FusionNetwork,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        propagation: FrozenPropagation | None = None,
        bootstrap: tuple[int, int, float] = (6000, 15000, 0.15),
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        self.network = network
        self.propagation = propagation or FrozenPropagation("stcn", "")
        self.bootstrap = bootstrap

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        for key, names in (("FUSION", FUSION_NETWORKS), ("VOS", NETWORKS)):
            if cfg.MODEL[key].NETWORK not in names:
                raise UserError(
                    f"MODEL.{key}.NETWORK must be one of {', '.join(names)}, not "
                    f'"{cfg.MODEL[key].NETWORK}".'
                )
        loss = cfg.MODEL.VOS.LOSS
        return {
            "network": FUSION_NETWORKS[cfg.MODEL.FUSION.NETWORK](),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "propagation": FrozenPropagation(cfg.MODEL.VOS.NETWORK, cfg.MODEL.FUSION.PROPAGATION),
            "bootstrap": (*loss.BOOTSTRAP_ITERS, loss.BOOTSTRAP_SHARE),
        }

    def adapt_weights(self, weights: dict[str, Any], strict: bool) -> dict[str, Any]:
        """Return the weights of a checkpoint, also of a public one, under the names of this model.

        Args:
            weights: by name, of this project, or of a public ``fusion.pth`` or ``fusion_stcn.pth``.
            strict: whether all weights of the model must be there.
        """
        bare = {
            name.removeprefix("module.").removeprefix(_PREFIX): each
            for name, each in weights.items()
        }
        return {_PREFIX + name: each for name, each in bare.items()}

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[FusedMasksOutput]:
        """Fuse the masks of samples.

        Args:
            batched_inputs: see :class:`~vps_d2.data.vos.fusion.FusionMapper`; ``object_map`` is not
                used.

        Returns:
            of each sample ``probabilities`` float32 ``(K + 1, H, W)``, the background first.
        """
        return [{"probabilities": each.softmax(0)} for each in self._fuse(batched_inputs)]

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the loss of a batch.

        Args:
            batched_inputs: see :class:`~vps_d2.data.vos.fusion.FusionMapper`; all of one size.

        Returns:
            ``loss_cross_entropy``, the mean over samples.
        """
        share = hard_share(get_event_storage().iter, *self.bootstrap)
        losses = [
            bootstrapped_cross_entropy(each, sample["object_map"].to(each.device).long(), share)
            for each, sample in zip(self._fuse(batched_inputs), batched_inputs, strict=True)
        ]
        return {"loss_cross_entropy": torch.stack(losses).mean()}

    def _fuse(self, batched_inputs: list[dict[str, Any]]) -> list[torch.Tensor]:
        """Return the logits ``(K + 1, H, W)`` of each sample."""
        frames = self.stack([sample["images"] for sample in batched_inputs], "samples")
        counts = [len(sample["masks"]) for sample in batched_inputs]
        masks = torch.cat([sample["masks"] for sample in batched_inputs]).to(self.device)
        touched = torch.cat([sample["touched"] for sample in batched_inputs]).to(self.device)
        distances = torch.stack([sample["distances"] for sample in batched_inputs]).to(self.device)
        height, width = frames.shape[-2:]
        stride = self.propagation.stride
        margins = (0, -width % stride, 0, -height % stride)
        frames, masks, touched = (F.pad(each, margins) for each in (frames, masks, touched))
        keys = self.propagation.keys(frames.flatten(0, 1))
        cells = (keys.shape[-2], keys.shape[-1])
        changed = changes(masks[:, 2], touched, stride).split(counts)
        attention = [
            carry_over(each, pair[1], pair[0], cells, stride)
            for each, pair in zip(changed, keys.flatten(2).unflatten(0, (-1, 2)), strict=True)
        ]
        repeats = torch.tensor(counts, device=self.device)
        own = self.network(
            frames[:, 0].repeat_interleave(repeats, 0),
            masks[:, :2],
            torch.cat(attention),
            distances.float().repeat_interleave(repeats, 0),
        )[..., :height, :width]
        return [aggregate(each) for each in own.split(counts)]
