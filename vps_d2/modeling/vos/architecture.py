"""STCN behind Detectron2's model interface.

Shapes: ``N`` videos, ``T`` frames, ``K`` objects of all videos, ``H`` rows, ``W`` columns; cells
are as in :mod:`vps_d2.modeling.vos.network`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.utils.events import get_event_storage
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.losses import dice_loss
from vps_d2.modeling.outputs import VideoObjectsOutput
from vps_d2.modeling.tasks import Task
from vps_d2.modeling.vos.flow import backward_flow, warp
from vps_d2.modeling.vos.losses import bootstrapped_cross_entropy, hard_share
from vps_d2.modeling.vos.matching import read_all, similarity
from vps_d2.modeling.vos.memory import MemoryBudget
from vps_d2.modeling.vos.network import (
    KEY_CHANNELS,
    NETWORKS,
    STCNNetwork,
    aggregate,
    with_others,
)
from vps_d2.modeling.vos.propagation import Propagation
from vps_d2.modeling.vos.public_weights import to_our_names

LONGEST_STEP = 5
"""Frames over which a network in training follows the last mask; in use it follows every frame."""


@dataclass
class _Clips:
    """A batch in training.

    Attributes:
        frames: normalized, ``(N, T, 3, H, W)``.
        pictures: uint8 ``(N, T, 3, H, W)``.
        labels: object of each pixel, int64 ``(N, T, H, W)``.
        near: whether each frame but the first is near in time to the one before it, bool
            ``(N, T - 1)``.
        videos: that of each object, int64 ``(K,)``, ascending.
        counts: objects of each video.
    """

    frames: torch.Tensor
    pictures: torch.Tensor
    labels: torch.Tensor
    near: torch.Tensor
    videos: torch.Tensor
    counts: list[int]

    def split(self, objects: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return what belongs to the objects of each video."""
        return objects.split(self.counts)


@META_ARCH_REGISTRY.register()
class STCN(PixelArchitecture):
    """STCN as an architecture.

    Args:
        network: the memory network.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        bootstrap: first and last iteration in which the share of pixels that count falls, and the
            share at the end; see :func:`hard_share`.
        dice_weight: of the Dice loss beside the cross-entropy, whose weight is 1.
        frozen: train no parameter of the key encoder.
        unknown_last: how often a network that follows the last mask has to do without it, in 0-1.
        budget: of the memory in inference; None for the default one.
        top_k: cells of the memory that a cell of a frame is read from in inference.
        memory_every: in inference, every so many frames one is remembered.
    """

    task: Task = "video_objects"
    keeps_statistics = True  # as published

    @configurable
    def __init__(
        self,
        *,
        network: STCNNetwork,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        bootstrap: tuple[int, int, float] = (20000, 70000, 0.15),
        dice_weight: float = 0.0,
        frozen: bool = False,
        unknown_last: float = 0.0,
        budget: MemoryBudget | None = None,
        top_k: int = 20,
        memory_every: int = 5,
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        self.network = network
        self.bootstrap = bootstrap
        self.dice_weight = dice_weight
        self.unknown_last = unknown_last
        self.budget = budget or MemoryBudget()
        self.top_k, self.memory_every = top_k, memory_every
        if frozen:
            network.key_encoder.requires_grad_(False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.MODEL.VOS
        if keys.NETWORK not in NETWORKS:
            raise UserError(
                f'MODEL.VOS.NETWORK must be one of {", ".join(NETWORKS)}, not "{keys.NETWORK}".'
            )
        return {
            "network": NETWORKS[keys.NETWORK](),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "bootstrap": (*keys.LOSS.BOOTSTRAP_ITERS, keys.LOSS.BOOTSTRAP_SHARE),
            "dice_weight": keys.LOSS.DICE,
            "frozen": keys.FREEZE_KEYS,
            "unknown_last": keys.UNKNOWN_LAST,
            "budget": MemoryBudget(
                keys.MEMORY_FRAMES,
                keys.MEMORY_LATEST,
                keys.FRAME_PROTOTYPES,
                keys.PROTOTYPES,
            ),
            "top_k": keys.TOP_K,
            "memory_every": keys.MEMORY_EVERY,
        }

    def adapt_weights(self, weights: dict[str, Any], strict: bool) -> dict[str, Any]:
        """Return the weights of a checkpoint under the names of this model.

        Args:
            weights: of this project, of the public STCN, or, unless ``strict``, of torchvision's
                ResNet-50 or MobileNetV2, from which the key encoder begins.
            strict: whether all weights of the model must be there.
        """
        return to_our_names(weights, self.network)

    def start_video(self) -> Propagation:
        """Return what follows objects through one video, one frame after the other."""
        return Propagation(
            self.network,
            self.pixel_mean,
            self.pixel_std,
            budget=self.budget,
            top_k=self.top_k,
            memory_every=self.memory_every,
        )

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[VideoObjectsOutput]:
        """Follow objects from the first frames of videos on.

        Args:
            batched_inputs: of each video ``images`` uint8 ``(T, 3, H, W)``, and ``object_maps``
                uint8 ``(T, H, W)``, of which only the first is used; ``T`` can be 1 there.

        Returns:
            ``object_maps`` uint8 ``(T, H, W)`` of each video, the first as it was given.
        """
        return [self._follow(video["images"], video["object_maps"][0]) for video in batched_inputs]

    def _follow(self, images: torch.Tensor, first: torch.Tensor) -> VideoObjectsOutput:
        pictures = images.permute(0, 2, 3, 1).cpu().numpy()
        objects = [number for number in first.unique().tolist() if number]
        numbers = torch.tensor([0, *objects], dtype=torch.uint8, device=self.device)
        video = self.start_video()
        video.remember(pictures[0], first.cpu().numpy(), permanent=True)
        found = [numbers[video.segment(each, objects).argmax(0)] for each in pictures[1:]]
        return {"object_maps": torch.stack([first.to(self.device), *found])}

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch of clips.

        The first frame of each clip is remembered with its true masks, each later one with those
        that the network gave.

        Args:
            batched_inputs: of each clip ``images`` uint8 ``(T, 3, H, W)`` and ``object_maps`` uint8
                ``(T, H, W)``, all of one size, a multiple of the network's stride; if it has
                ``frame_indices``, those of its frames, the last mask is only followed over steps of
                at most 5 frames.

        Returns:
            ``loss_cross_entropy`` and ``loss_dice``, means over clips, summed over frames.
        """
        clips = self._clips(batched_inputs)
        network, length = self.network, clips.frames.shape[1]
        features = network.encode_key(clips.frames.flatten(0, 1))
        keys = features.key.unflatten(0, clips.frames.shape[:2]).flatten(3)  # (N, T, C, hw)
        masks = self._first_masks(clips)
        share = hard_share(get_event_storage().iter, *self.bootstrap)
        values: list[torch.Tensor] = []
        losses: list[tuple[torch.Tensor, torch.Tensor]] = []
        for time in range(1, length):
            before = features.select(clips.videos * length + time - 1)
            frames = clips.frames[clips.videos, time - 1]
            values.append(network.encode_value(frames, before.coarse, masks).flatten(2))
            memory = keys[:, :time].transpose(1, 2).flatten(2)
            likeness = similarity(memory, keys[:, time], KEY_CHANNELS)
            readout = read_all(likeness, torch.cat(values, 2), clips.videos)
            now = features.select(clips.videos * length + time)
            readout = readout.unflatten(2, now.key.shape[-2:])
            last = None
            if network.decoder.follows:
                # Gradients through these as well as through the memory grow from frame to frame.
                last = self._last_masks(clips, time, masks.detach())
            own = network.decode(readout, now, last).sigmoid()[:, 0]
            scores = [aggregate(each) for each in clips.split(own)]
            losses += self._losses(scores, clips.labels[:, time], share)
            masks = torch.cat([with_others(each.softmax(0)[1:]) for each in scores])
        entropy, dice = torch.stack([torch.stack(each) for each in losses]).sum(0).unbind()
        result = {"loss_cross_entropy": entropy / len(batched_inputs)}
        if self.dice_weight:
            result["loss_dice"] = self.dice_weight * dice / len(batched_inputs)
        return result

    def _clips(self, batched_inputs: list[dict[str, Any]]) -> _Clips:
        labels = torch.stack([clip["object_maps"].to(self.device) for clip in batched_inputs])
        counts = [int(clip["object_maps"][0].max()) for clip in batched_inputs]
        return _Clips(
            self.stack([clip["images"] for clip in batched_inputs], "clips"),
            torch.stack([clip["images"] for clip in batched_inputs]),
            labels.long(),
            torch.stack([_near(clip) for clip in batched_inputs]).to(self.device),
            torch.repeat_interleave(torch.tensor(counts)).to(self.device),
            counts,
        )

    def _first_masks(self, clips: _Clips) -> torch.Tensor:
        masks = []
        for labels, count in zip(clips.labels[:, 0], clips.counts, strict=True):
            numbers = torch.arange(1, count + 1, device=labels.device)[:, None, None]
            masks.append(with_others((labels == numbers).float()))
        return torch.cat(masks)

    def _last_masks(self, clips: _Clips, time: int, masks: torch.Tensor) -> torch.Tensor:
        """Return the masks of the last frame as :meth:`Decoder.forward` takes them."""
        pairs = clips.pictures[:, [time, time - 1]].permute(0, 1, 3, 4, 2).cpu().numpy()
        flow = torch.stack([backward_flow(*pair) for pair in pairs]).to(masks.device)
        known = torch.rand(len(clips.counts), device=masks.device) >= self.unknown_last
        known &= clips.near[:, time - 1]
        moved = warp(masks, flow[clips.videos])
        last = torch.cat([moved, torch.ones_like(moved[:, :1])], 1)
        return last * known[clips.videos, None, None, None]

    def _losses(
        self, scores: list[torch.Tensor], labels: torch.Tensor, share: float
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        losses = []
        for each, truth in zip(scores, labels, strict=True):
            dice = each.new_zeros(())
            if self.dice_weight:
                dice = dice_loss(each[None], truth[None], of_batch=False)
            losses.append((bootstrapped_cross_entropy(each, truth, share), dice))
        return losses


def _near(clip: dict[str, Any]) -> torch.Tensor:
    """Return whether each frame of a clip but the first is near to the one before it."""
    indices = torch.as_tensor(clip.get("frame_indices", range(len(clip["images"]))))
    return indices.diff().abs() <= LONGEST_STEP
