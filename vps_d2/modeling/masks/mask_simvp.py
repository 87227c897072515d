"""MaskSimVP: from the masks of the input frames to those of later ones, with SimVP.

Shapes: ``N`` videos, ``T_in`` input and ``T_out`` predicted masks, ``K`` slots, ``C`` channels
or classes, ``H`` rows, ``W`` columns. Masks are uint8 with class numbers; slots, labels and
memberships are those of :mod:`vps_d2.modeling.masks.slots`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.utils.events import get_event_storage
from vps_d2.data.metadata import config_taxonomy
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import MaskArchitecture
from vps_d2.modeling.frames.simvp import SimVPNetwork
from vps_d2.modeling.frames.translators import TRANSLATORS
from vps_d2.modeling.losses import IGNORED, mask_cross_entropy, soft_jaccard_loss
from vps_d2.modeling.masks.slots import (
    EMPTY,
    assign_slots,
    count_pixels,
    every_class,
    masks_to_labels,
    masks_to_memberships,
    slot_groups,
    to_class_logits,
)
from vps_d2.modeling.outputs import FutureMasksOutput
from vps_d2.modeling.precision import wants_channels_last
from vps_d2.modeling.tasks import Task

_NUM_COORDINATES = 2
_COPY_LOGIT = 4.0
"""Logit of the class in the last input mask, at the beginning of training with a residual."""


class _Videos(NamedTuple):
    """A batch of input masks ``(N, T_in, H, W)``, their slots, and bool ``(N, K + 1)``: barred."""

    masks: torch.Tensor
    slots: torch.Tensor
    barred: torch.Tensor


@META_ARCH_REGISTRY.register()
class MaskSimVP(MaskArchitecture):
    """SimVP over masks, behind Detectron2's model interface.

    Args:
        network: maps planes ``(M, T_in, C_in, H, W)`` to logits ``(M, T_out, C_out, H, W)``, where
            ``M`` counts videos, or with slots their objects; see :meth:`num_planes`.
        groups: of each object class, the number of the group of classes that look and move alike
            (:class:`~vps_d2.data.taxonomy.Taxonomy`).
        num_slots: ``K``: each object is predicted by itself, with the same weights, given the
            others; 0 for no slots: all classes at once, one-hot.
        embedding: channels of a learned embedding of the object classes instead of one-hot ones; 0
            for none. Only without slots.
        all_targets: learn and predict all masks after the input, not only the last.
        residual: predict the change from the last input mask, whose classes start with a learned
            logit. Many objects rest, which then need not be learned.
        seen_classes_only: predict no class that is not in the input masks. With slots, that is
            impossible anyway.
        background_weight: see :func:`mask_cross_entropy`.
        cross_entropy_weight: of the cross-entropy in the loss.
        jaccard_weight: of :func:`soft_jaccard_loss` in the loss.
        rollout_steps: number of masks to predict one at a time (``T_out`` 1), from the predictions
            before each; 0 for no rollout.
        rollout_train_steps: the same in training; 0 for as many.
        sampling_prob: chance, at the beginning and the end of ``sampling_iters``, that training
            feeds the rollout with its own prediction instead of the true mask (scheduled sampling,
            arXiv 1506.03099).
        sampling_iters: iterations over which the chance grows.
    """

    task: Task = "future_masks"

    @configurable
    def __init__(
        self,
        *,
        network: SimVPNetwork,
        groups: Sequence[int],
        num_slots: int = 8,
        embedding: int = 0,
        all_targets: bool = False,
        residual: bool = False,
        seen_classes_only: bool = True,
        background_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        jaccard_weight: float = 0.0,
        rollout_steps: int = 0,
        rollout_train_steps: int = 0,
        sampling_prob: tuple[float, float] = (0.0, 1.0),
        sampling_iters: int = 10000,
    ) -> None:
        super().__init__()
        if not cross_entropy_weight and not jaccard_weight:
            raise UserError(
                "MODEL.MASK_SIMVP.LOSS.CROSS_ENTROPY and JACCARD are both 0, so nothing would be "
                "learned; make one positive."
            )
        self.network = network
        self.num_classes = len(groups) + 1
        self.register_buffer("groups", torch.tensor(groups), persistent=False)
        self.num_groups = max(groups) + 1
        self.num_slots = num_slots
        self.embedding: nn.Module = nn.Identity()
        if embedding:
            self.embedding = nn.Linear(len(groups), embedding, bias=False)
        self.all_targets = all_targets
        self.copy_logit: nn.Parameter | None = None
        if residual:
            shape = (network.num_output_frames, 1, 1, 1)
            self.copy_logit = nn.Parameter(torch.full(shape, _COPY_LOGIT))
            nn.init.zeros_(network.readout.weight)
            assert network.readout.bias is not None
            nn.init.zeros_(network.readout.bias)
        self.seen_classes_only = seen_classes_only
        self.background_weight = background_weight
        self.cross_entropy_weight = cross_entropy_weight
        self.jaccard_weight = jaccard_weight
        self.rollout_steps = rollout_steps
        self.rollout_train_steps = rollout_train_steps or rollout_steps
        self.sampling_prob = sampling_prob
        self.sampling_iters = sampling_iters

    @staticmethod
    def num_planes(groups: Sequence[int], num_slots: int, embedding: int) -> tuple[int, int]:
        """Return ``C_in`` and ``C_out`` of the network."""
        if num_slots:
            return 2 * (max(groups) + 1) + _NUM_COORDINATES, 1
        return (embedding or len(groups)) + _NUM_COORDINATES, len(groups) + 1

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration.

        Raises:
            UserError: if keys of MODEL.MASK_SIMVP have unknown values or contradict each other, or
                if ROLLOUT contradicts INPUT.TARGET_GAP.
        """
        keys = cfg.MODEL.MASK_SIMVP
        _check_keys(keys, cfg.INPUT.TARGET_GAP)
        all_targets = keys.TARGETS == "all"
        groups = config_taxonomy(cfg).groups
        in_channels, out_channels = cls.num_planes(groups, keys.SLOTS, keys.EMBEDDING)
        network = SimVPNetwork(
            channels=in_channels,
            out_channels=out_channels,
            num_input_frames=cfg.INPUT.NUM_INPUT_FRAMES,
            num_output_frames=(
                cfg.INPUT.NUM_TARGET_FRAMES if all_targets and not keys.ROLLOUT else 1
            ),
            hidden_spatial=keys.HIDDEN_SPATIAL,
            hidden_temporal=keys.HIDDEN_TEMPORAL,
            num_spatial_layers=keys.NUM_SPATIAL_LAYERS,
            num_temporal_layers=keys.NUM_TEMPORAL_LAYERS,
            translator=keys.TRANSLATOR,
            translator_options={"mlp_ratio": keys.MLP_RATIO} if keys.TRANSLATOR == "gSTA" else {},
            patch_size=keys.PATCH_SIZE,
            skip_last=True,
            channels_last=wants_channels_last(cfg),
        )
        return {
            "network": network,
            "groups": groups,
            "num_slots": keys.SLOTS,
            "embedding": keys.EMBEDDING,
            "all_targets": all_targets,
            "residual": keys.RESIDUAL,
            "seen_classes_only": keys.SEEN_CLASSES_ONLY,
            "background_weight": keys.LOSS.BACKGROUND_WEIGHT,
            "cross_entropy_weight": keys.LOSS.CROSS_ENTROPY,
            "jaccard_weight": keys.LOSS.JACCARD,
            "rollout_steps": cfg.INPUT.NUM_TARGET_FRAMES if keys.ROLLOUT else 0,
            "rollout_train_steps": keys.ROLLOUT_TRAIN_STEPS,
            "sampling_prob": tuple(keys.SCHEDULED_SAMPLING.PROB),
            "sampling_iters": keys.SCHEDULED_SAMPLING.ITERS,
        }

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[FutureMasksOutput]:
        """Predict masks.

        Args:
            batched_inputs: for each video ``masks`` uint8 ``(T_in, H, W)``, all of one size.

        Returns:
            for each video ``sem_seg``, logits of the last predicted mask, and with all targets
            ``sem_segs``, of all of them.

        Raises:
            UserError: if the masks are not of one size, or not ``T_in``.
        """
        classes = self.predict(self.stack_masks(batched_inputs, self.network.num_input_frames))
        if not self.all_targets:
            return [{"sem_seg": video[-1]} for video in classes]
        return [{"sem_seg": video[-1], "sem_segs": video} for video in classes]

    def predict(self, masks: torch.Tensor) -> torch.Tensor:
        """Predict masks.

        Args:
            masks: uint8 ``(N, T_in, H, W)``, on the device of the model.

        Returns:
            logits float32 ``(N, T, C, H, W)`` of all targets, or of the last one alone.
        """
        videos = self._read(masks)
        if self.rollout_steps:
            logits = self._roll_out(videos, self.rollout_steps)
        else:
            logits = self._infer(videos)
        if not self.all_targets:
            logits = logits[:, -1:]
        return to_class_logits(logits.float(), videos.slots, self.num_classes)

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch.

        Args:
            batched_inputs: as :meth:`infer` takes them, with ``target_masks`` uint8 ``(T, H, W)``,
                those that follow, and ``target_valid`` bool ``(T,)``: which of them exist.

        Returns:
            ``loss_cross_entropy`` and ``loss_jaccard``, of those that have a weight.

        Raises:
            UserError: if the masks are not of one size, or not ``T_in``.
        """
        videos = self._read(self.stack_masks(batched_inputs, self.network.num_input_frames))
        targets = torch.stack([video["target_masks"].to(self.device) for video in batched_inputs])
        valid = torch.stack([video["target_valid"].to(self.device) for video in batched_inputs])
        if self.rollout_steps:
            steps = min(self.rollout_train_steps, targets.shape[1])
            targets, valid = targets[:, :steps], valid[:, :steps]
            logits = self._roll_out(videos, steps, (targets, valid))
        else:
            logits = self._infer(videos)
        if not self.all_targets:
            logits = logits[:, -1:]
        targets, valid = targets[:, -logits.shape[1] :], valid[:, -logits.shape[1] :]
        labels = masks_to_labels(targets, videos.slots)
        labels = labels.masked_fill(~valid[:, :, None, None], IGNORED).flatten(0, 1)
        slots = videos.slots.repeat_interleave(logits.shape[1], 0)
        logits = logits.flatten(0, 1)
        losses = {}
        if self.cross_entropy_weight:
            losses["loss_cross_entropy"] = self.cross_entropy_weight * mask_cross_entropy(
                logits, labels, self.background_weight
            )
        if self.jaccard_weight:
            losses["loss_jaccard"] = self.jaccard_weight * soft_jaccard_loss(logits, labels, slots)
        return losses

    def make_planes(self, memberships: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """Return what the network sees of memberships ``(N, T, K, H, W)``.

        With slots, for each of the ``M`` objects: its pixels and those of the others, both in the
        plane of the group that they belong to. Otherwise for each of the ``M = N`` videos its
        classes, one-hot or embedded. Then the place in the frame, -1 to 1 over rows and columns:
        since the camera stands still, it shows how far away an object is.

        Returns:
            ``(M, T, C_in, H, W)``.
        """
        planes = memberships
        if self.num_slots:
            owners, places = _find_objects(slots).nonzero(as_tuple=True)
            torch._check(owners.shape[0] > 0)  # torch.export cannot see it
            groups = slot_groups(slots, self.get_buffer("groups"), self.num_groups)
            groups = groups.to(memberships.dtype)
            own = memberships[owners, :, places, None] * groups[owners, places, None, :, None, None]
            scene = torch.einsum("ntkhw,nkg->ntghw", memberships, groups)
            planes = torch.cat([own, scene[owners] - own], dim=2)
        elif isinstance(self.embedding, nn.Linear):
            planes = self.embedding(memberships.movedim(2, -1)).movedim(-1, 2)
        axes = [_axis(length) for length in planes.shape[-2:]]
        coordinates = torch.stack(torch.meshgrid(axes, indexing="ij")).to(planes)
        return torch.cat([planes, coordinates.expand(*planes.shape[:2], -1, -1, -1)], dim=2)

    def _read(self, masks: torch.Tensor) -> _Videos:
        counts = count_pixels(masks, self.num_classes)
        if self.num_slots:
            slots = assign_slots(counts, self.num_slots)
            barred = slots == EMPTY
        else:
            slots = every_class(len(masks), self.num_classes, self.device)
            barred = counts[:, 1:] == 0
            if self.training or not self.seen_classes_only:
                barred = torch.zeros_like(barred)
        return _Videos(masks, slots, F.pad(barred, (1, 0)))

    def _memberships(self, masks: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        autocast = torch.is_autocast_enabled(self.device.type)
        # 0 and 1 are exact in any number format; the smaller one saves time.
        dtype = torch.get_autocast_dtype(self.device.type) if autocast else torch.float32
        return masks_to_memberships(masks, slots, dtype)

    def _infer(self, videos: _Videos) -> torch.Tensor:
        memberships = self._memberships(videos.masks, videos.slots)
        logits = self.network(self.make_planes(memberships, videos.slots))
        return self._finish(logits, memberships, videos)

    def _finish(
        self, logits: torch.Tensor, memberships: torch.Tensor, videos: _Videos
    ) -> torch.Tensor:
        """Turn the network's output into logits ``(N, T_out, K + 1, H, W)``, with barred slots.

        With a residual, the copy of the last memberships is added.
        """
        if self.num_slots:  # logits of objects, relative to 0 for the background
            found = _find_objects(videos.slots)
            objects = logits.new_zeros(*found.shape, logits.shape[1], *logits.shape[-2:])
            objects[found.nonzero(as_tuple=True)] = logits[:, :, 0]
            logits = F.pad(objects.transpose(1, 2), (0, 0, 0, 0, 1, 0))
        if self.copy_logit is not None:
            objects = memberships[:, -1:]
            last = torch.cat([1 - objects.sum(2, keepdim=True), objects], dim=2)
            logits = logits + self.copy_logit.to(logits.dtype) * last.to(logits.dtype)
        return logits.masked_fill(videos.barred[:, None, :, None, None], -torch.inf)

    def _roll_out(
        self,
        videos: _Videos,
        num_steps: int,
        truth: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Predict masks one by one; in training, sometimes feed true ones ``(targets, valid)``."""
        size = (videos.masks.shape[-2], videos.masks.shape[-1])
        memberships = self._memberships(videos.masks, videos.slots)
        features, skip = self.network.encode(self.make_planes(memberships, videos.slots))
        outputs = []
        for step in range(num_steps):
            logits = self.network.predict(features, skip, size)
            logits = self._finish(logits, memberships, videos)
            outputs.append(logits)
            if step == num_steps - 1:
                break
            # No gradient through what is fed, as in the paper.
            memberships = logits.detach().float().softmax(2)[:, :, 1:]
            if truth is not None:
                memberships = self._sample(memberships, videos.slots, truth, step)
            feature, skip = self.network.encode(self.make_planes(memberships, videos.slots))
            features = torch.cat([features[:, 1:], feature], dim=1)
        return torch.cat(outputs, dim=1)

    def _sample(
        self,
        predicted: torch.Tensor,
        slots: torch.Tensor,
        truth: tuple[torch.Tensor, torch.Tensor],
        step: int,
    ) -> torch.Tensor:
        targets, valid = (each[:, step : step + 1] for each in truth)
        own = torch.rand(valid.shape, device=valid.device) < self._sampling_chance()
        true = masks_to_memberships(targets, slots, predicted.dtype)
        return torch.where((own | ~valid)[:, :, None, None, None], predicted, true)

    def _sampling_chance(self) -> float:
        begin, end = self.sampling_prob
        progress = min(get_event_storage().iter / max(self.sampling_iters, 1), 1.0)
        return begin + (end - begin) * progress


def _axis(length: int) -> torch.Tensor:
    """Return ``torch.linspace(-1, 1, length)``, which torch.export takes to be of one length."""
    places = torch.arange(length)
    last = places[-1:]
    step = 2 / last.clamp(min=1)
    return torch.where(places <= last // 2, step * places - 1, 1 - step * (last - places))


def _find_objects(slots: torch.Tensor) -> torch.Tensor:
    """Return which slots hold an object, bool ``(N, K)``; at least one, so no batch is empty."""
    found = slots != EMPTY
    found[0, 0] |= ~found.any()
    return found


def _check_keys(keys: CfgNode, target_gap: int) -> None:
    for key, value, choices in (
        ("TARGETS", keys.TARGETS, ("last", "all")),
        ("TRANSLATOR", keys.TRANSLATOR, tuple(sorted(TRANSLATORS))),
    ):
        if value not in choices:
            raise UserError(
                f'MODEL.MASK_SIMVP.{key} must be one of {", ".join(choices)}, not "{value}".'
            )
    if keys.SLOTS and keys.EMBEDDING:
        raise UserError(
            f"MODEL.MASK_SIMVP.EMBEDDING {keys.EMBEDDING} embeds classes, but SLOTS "
            f"{keys.SLOTS} hides them from the network; set one of the two to 0."
        )
    if keys.ROLLOUT and target_gap:
        raise UserError(
            "MODEL.MASK_SIMVP.ROLLOUT predicts each mask from the one before, but INPUT.TARGET_GAP "
            f"{target_gap} leaves out the first; set ROLLOUT False or TARGET_GAP 0."
        )
