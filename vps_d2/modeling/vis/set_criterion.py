"""The losses of Mask2Former (arXiv 2112.01527, section 3.3): one query for each true object.

Shapes: ``N`` frames, ``Q`` queries, ``K`` classes, ``G`` true objects of a frame, ``P`` points,
``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from vps_d2.modeling.batch import batch_mean
from vps_d2.modeling.vis.masked_decoder import Prediction
from vps_d2.modeling.vis.point_sampling import draw_uncertain_points, read_points


class Target(NamedTuple):
    """The true objects of a frame."""

    classes: torch.Tensor
    """int64 ``(G,)``, class number minus one."""
    masks: torch.Tensor
    """bool ``(G, H, W)``, of the padded frame."""


class Match(NamedTuple):
    """Which query stands for which object of a frame; both int64 ``(G,)``."""

    queries: torch.Tensor
    objects: torch.Tensor


class HungarianMatcher:
    """Find the queries that stand for the objects of a frame, at the lowest total cost.

    Args:
        class_weight: cost of a class that is not likely.
        mask_weight: cost of the cross-entropy of a mask.
        dice_weight: cost of a mask's dice loss.
        num_points: random points that masks are compared at.
    """

    def __init__(
        self, *, class_weight: float, mask_weight: float, dice_weight: float, num_points: int
    ) -> None:
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.num_points = num_points

    @torch.no_grad()
    def __call__(self, prediction: Prediction, targets: Sequence[Target]) -> list[Match]:
        """Match each frame by itself.

        Args:
            prediction: of ``N`` frames.
            targets: of these frames.
        """
        matches = []
        for logits, masks, target in zip(
            prediction.logits.float(), prediction.masks, targets, strict=True
        ):
            points = torch.rand(1, self.num_points, 2, device=masks.device)
            cost = self._cost(
                logits, read_points(masks, points), target, read_points(target.masks, points)
            )
            rows, columns = linear_sum_assignment(cost.cpu().numpy())
            device = logits.device
            matches.append(
                Match(
                    torch.as_tensor(rows, dtype=torch.int64, device=device),
                    torch.as_tensor(columns, dtype=torch.int64, device=device),
                )
            )
        return matches

    def _cost(
        self, logits: torch.Tensor, masks: torch.Tensor, target: Target, truth: torch.Tensor
    ) -> torch.Tensor:
        """Return the cost of each pair, ``(Q, G)``, from masks ``(Q, P)`` and truth ``(G, P)``."""
        of_class = -logits.softmax(-1)[:, target.classes]
        as_object, as_background = F.softplus(-masks), F.softplus(masks)
        of_mask = (as_object @ truth.T + as_background @ (1 - truth).T) / masks.shape[1]
        chances = masks.sigmoid()
        sums = chances.sum(1)[:, None] + truth.sum(1)
        of_dice = 1 - (2 * chances @ truth.T + 1) / (sums + 1)
        return (
            self.class_weight * of_class + self.mask_weight * of_mask + self.dice_weight * of_dice
        )


class SetCriterion(nn.Module):
    """The losses of every layer of the decoder, each with a matching of its own.

    Args:
        num_classes: ``K``.
        matcher: finds the queries of the objects.
        no_object_weight: of a query without an object in the cross-entropy of classes.
        num_points: that the masks are compared at.
        oversample: see :func:`~vps_d2.modeling.vis.point_sampling.draw_uncertain_points`.
        importance_share: see the same.
    """

    class_weights: torch.Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        matcher: HungarianMatcher,
        no_object_weight: float = 0.1,
        num_points: int = 12544,
        oversample: float = 3.0,
        importance_share: float = 0.75,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.matcher = matcher
        self.num_points = num_points
        self.oversample = oversample
        self.importance_share = importance_share
        weights = torch.ones(num_classes + 1)
        weights[-1] = no_object_weight
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, predictions: Sequence[Prediction], targets: Sequence[Target]
    ) -> tuple[dict[str, torch.Tensor], list[Match]]:
        """Return the losses, and the matches of the last layer.

        Args:
            predictions: of every layer, the last one last.
            targets: of the ``N`` frames.

        Returns:
            ``loss_ce``, ``loss_mask`` and ``loss_dice`` of the last layer, and with ``_0``, ``_1``,
            ... those of the layers before it, weighted as the matcher weighs its costs.
        """
        losses: dict[str, torch.Tensor] = {}
        matches: list[Match] = []
        for index, prediction in enumerate(predictions):
            matches = self.matcher(prediction, targets)
            suffix = "" if index == len(predictions) - 1 else f"_{index}"
            for name, value in self._losses(prediction, targets, matches).items():
                losses[name + suffix] = value
        return losses, matches

    def _losses(
        self, prediction: Prediction, targets: Sequence[Target], matches: Sequence[Match]
    ) -> dict[str, torch.Tensor]:
        weights = self.matcher
        mask_loss, dice_loss = self._mask_losses(prediction.masks, targets, matches)
        return {
            "loss_ce": weights.class_weight
            * self._class_loss(prediction.logits.float(), targets, matches),
            "loss_mask": weights.mask_weight * mask_loss,
            "loss_dice": weights.dice_weight * dice_loss,
        }

    def _class_loss(
        self, logits: torch.Tensor, targets: Sequence[Target], matches: Sequence[Match]
    ) -> torch.Tensor:
        classes = torch.full(
            logits.shape[:2], self.num_classes, dtype=torch.int64, device=logits.device
        )
        for frame, target, match in zip(classes, targets, matches, strict=True):
            frame[match.queries] = target.classes[match.objects]
        loss = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), self.class_weights)
        return batch_mean(loss, self.class_weights[classes].sum())

    def _mask_losses(
        self, masks: torch.Tensor, targets: Sequence[Target], matches: Sequence[Match]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.cat(
            [frame[match.queries] for frame, match in zip(masks, matches, strict=True)]
        ).float()
        if not len(logits):
            return batch_mean(logits.sum(), 0), batch_mean(logits.sum(), 0)
        truth = torch.cat(
            [target.masks[match.objects] for target, match in zip(targets, matches, strict=True)]
        )
        points = draw_uncertain_points(
            logits.detach(), self.num_points, self.oversample, self.importance_share
        )
        drawn, labels = read_points(logits, points), read_points(truth, points)
        mask_loss = F.binary_cross_entropy_with_logits(drawn, labels)
        chances = drawn.sigmoid()
        sums = chances.sum(1) + labels.sum(1)
        dice_loss = 1 - (2 * (chances * labels).sum(1) + 1) / (sums + 1)
        return batch_mean(mask_loss, len(logits)), batch_mean(dice_loss.mean(), len(logits))
