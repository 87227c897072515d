"""The losses of VisTR (arXiv 2011.14503, section 3.3): a tube of queries for each true object.

Shapes: ``T`` frames, ``K`` instances, ``C`` classes, ``G`` true objects of a clip, ``M`` matched
ones, ``H`` rows, ``W`` columns. Boxes are center and size, x before y, as shares of the picture.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_convert, generalized_box_iou_loss, sigmoid_focal_loss

from vps_d2.d2.utils import comm
from vps_d2.modeling.batch import batch_mean, batch_sum
from vps_d2.modeling.vis.vistr_network import Tubes

_TINY = 1e-6


class TubeTargets(NamedTuple):
    """The true objects of a clip."""

    labels: torch.Tensor
    """int64 ``(G,)``, class numbers: the first class has 1."""
    boxes: torch.Tensor
    """float32 ``(T, G, 4)``."""
    visible: torch.Tensor
    """bool ``(T, G)``."""
    masks: torch.Tensor
    """bool ``(T, G, H, W)``, of the padded frames."""


class TubeMatch(NamedTuple):
    """Which instance stands for which object; both int64 ``(M,)``."""

    instances: torch.Tensor
    objects: torch.Tensor


class TubeCriterion:
    """The losses of a batch of clips.

    The weights are also those of the costs by which tubes are matched to objects.

    Args:
        class_weight: of the cross-entropy of classes.
        box_weight: of the L1 distance of boxes.
        giou_weight: of the generalized IoU of boxes (arXiv 1902.09630).
        mask_weight: of the focal loss of masks (arXiv 1708.02002).
        dice_weight: of the dice loss of masks; if both are 0, no masks are drawn.
        no_object_weight: of "no object" in the cross-entropy, relative to classes.
    """

    def __init__(
        self,
        *,
        class_weight: float = 1.0,
        box_weight: float = 5.0,
        giou_weight: float = 2.0,
        mask_weight: float = 1.0,
        dice_weight: float = 1.0,
        no_object_weight: float = 0.1,
    ) -> None:
        self.weights = {
            "loss_ce": class_weight,
            "loss_bbox": box_weight,
            "loss_giou": giou_weight,
            "loss_mask": mask_weight,
            "loss_dice": dice_weight,
        }
        self.no_object_weight = no_object_weight

    def __call__(
        self,
        tubes: Tubes,
        targets: Sequence[TubeTargets],
        draw: Callable[[int, torch.Tensor], torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Return the losses of a batch: scalars by name, weighted.

        Those of an earlier decoder layer, which has no masks, end with its number.

        Args:
            tubes: what the network finds in the clips.
            targets: of each clip.
            draw: from the number of a clip and ``M`` of its instances to logits of their masks,
                ``(T, M, H', W')``.
        """
        num_boxes = _count_boxes(targets)
        num_layers = len(tubes.logits)
        losses: dict[str, torch.Tensor] = {}
        for layer, (logits, boxes) in enumerate(zip(tubes.logits, tubes.boxes, strict=True)):
            matches = [self.match(*clip) for clip in zip(logits, boxes, targets, strict=True)]
            found = {
                "loss_ce": self._class_loss(logits, targets, matches),
                **_box_losses(boxes, targets, matches, num_boxes),
            }
            last = layer == num_layers - 1
            if last and (self.weights["loss_mask"] or self.weights["loss_dice"]):
                found |= _mask_losses(draw, targets, matches, num_boxes)
            ending = "" if last else f"_{layer}"
            losses |= {f"{name}{ending}": self.weights[name] * loss for name, loss in found.items()}
        return losses

    @torch.no_grad()
    def match(self, logits: torch.Tensor, boxes: torch.Tensor, target: TubeTargets) -> TubeMatch:
        """Match whole tubes to objects, at the lowest total cost.

        The costs of a pair are means over the frames in which the object is visible. The public
        code also counts the others, with an empty box of the first class.

        Args:
            logits: ``(T, K, C)``.
            boxes: ``(T, K, 4)``.
            target: the objects.
        """
        class_cost = -logits.softmax(-1)[:, :, target.labels]
        box_cost = (boxes[:, :, None] - target.boxes[:, None]).abs().mean(-1)
        costs = (
            self.weights["loss_ce"] * class_cost
            + self.weights["loss_bbox"] * box_cost
            - self.weights["loss_giou"] * _box_iou(boxes[:, :, None], target.boxes[:, None])
        )
        visible = target.visible[:, None]
        mean = (costs * visible).sum(0) / visible.sum(0).clamp(min=1)
        instances, objects = linear_sum_assignment(mean.cpu().numpy())
        device = logits.device
        return TubeMatch(
            torch.as_tensor(instances, device=device), torch.as_tensor(objects, device=device)
        )

    def _class_loss(
        self, logits: torch.Tensor, targets: Sequence[TubeTargets], matches: Sequence[TubeMatch]
    ) -> torch.Tensor:
        no_object = logits.shape[-1] - 1
        labels = torch.full(logits.shape[:-1], no_object, device=logits.device)
        for index, (target, match) in enumerate(zip(targets, matches, strict=True)):
            visible = target.visible[:, match.objects]
            wanted = target.labels[match.objects].expand_as(visible)
            labels[index, :, match.instances] = wanted.masked_fill(~visible, no_object)
        weights = torch.ones(logits.shape[-1], device=logits.device)
        weights[no_object] = self.no_object_weight
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), weights)
        return batch_mean(loss, weights[labels].sum())


def _box_losses(
    boxes: torch.Tensor,
    targets: Sequence[TubeTargets],
    matches: Sequence[TubeMatch],
    num_boxes: float,
) -> dict[str, torch.Tensor]:
    found, wanted = [], []
    for clip, target, match in zip(boxes, targets, matches, strict=True):
        visible = target.visible[:, match.objects]
        found.append(clip[:, match.instances][visible])
        wanted.append(target.boxes[:, match.objects][visible])
    predicted, true = torch.cat(found), torch.cat(wanted)
    corners = [box_convert(each, "cxcywh", "xyxy") for each in (predicted, true)]
    return {
        "loss_bbox": F.l1_loss(predicted, true, reduction="sum") / num_boxes,
        "loss_giou": generalized_box_iou_loss(*corners, reduction="sum") / num_boxes,
    }


def _mask_losses(
    draw: Callable[[int, torch.Tensor], torch.Tensor],
    targets: Sequence[TubeTargets],
    matches: Sequence[TubeMatch],
    num_boxes: float,
) -> dict[str, torch.Tensor]:
    focal, dice = [], []
    for index, (target, match) in enumerate(zip(targets, matches, strict=True)):
        visible = target.visible[:, match.objects]
        # Without objects, one tube is drawn for nothing, so that every weight has a gradient.
        instances = match.instances if len(match.instances) else match.instances.new_zeros(1)
        logits = draw(index, instances)
        if not visible.any():
            focal.append(logits.sum() * 0)
            continue
        size = target.masks.shape[-2:]
        drawn = F.interpolate(logits[visible][:, None], size, mode="bilinear").flatten(1)
        true = target.masks[:, match.objects][visible].flatten(1).float()
        focal.append(sigmoid_focal_loss(drawn, true).mean(1).sum())
        dice.append(_dice_loss(drawn, true))
    total = torch.stack(focal).sum() / num_boxes
    return {
        "loss_mask": total,
        "loss_dice": torch.stack(dice).sum() / num_boxes if dice else total * 0,
    }


def _dice_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    shares = logits.sigmoid()
    overlap = 2 * (shares * true).sum(1)
    return (1 - (overlap + 1) / (shares.sum(1) + true.sum(1) + 1)).sum()


def _box_iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the IoU of boxes ``(..., 4)``, of which the leading dimensions are broadcast."""
    first, second = (
        torch.cat([b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], -1)
        for b in (one, other)
    )
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = one[..., 2:].prod(-1) + other[..., 2:].prod(-1) - shared
    return (shared + _TINY) / (union + _TINY)


def _count_boxes(targets: Sequence[TubeTargets]) -> float:
    """Return the number of objects times frames, at least 1, as a mean over processes."""
    count = float(sum(target.visible.numel() for target in targets))
    total = batch_sum(torch.tensor(count, device=targets[0].boxes.device))
    return max(float(total), 1.0) / comm.get_world_size()
