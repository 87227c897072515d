"""From what a model says of a frame to a semantic mask."""

from typing import Any

import numpy as np
import torch

from vps_d2.d2.structures import Instances
from vps_d2.data.vps import NUM_CLASSES


def instances_to_semantic(
    instances: Instances, score_thresh: float = 0.5, one_per_class: bool = True
) -> np.ndarray:
    """Paint instances into one mask, the surest on top.

    Args:
        instances: with ``pred_masks`` bool ``(K, H, W)``, ``pred_classes`` (0-47) and ``scores``.
        score_thresh: instances below it are left out.
        one_per_class: keep only the surest instance of a class. In these videos every object is of
            a different class, so a second one is a mistake.

    Returns:
        uint8 ``(H, W)``: 0 for background, 1-48 for objects.
    """
    semantic = np.zeros(instances.image_size, np.uint8)
    scores = instances.scores.detach().float().cpu().numpy()
    classes = instances.pred_classes.cpu().numpy()
    order: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        again = one_per_class and classes[index] in classes[order]
        if scores[index] >= score_thresh and not again:
            order.append(int(index))
    if not order:
        return semantic
    masks = instances.pred_masks[order].cpu().numpy().astype(bool)
    for index, mask in zip(reversed(order), masks[::-1], strict=True):
        semantic[mask] = classes[index] + 1
    return semantic


def output_to_mask(
    output: dict[str, Any], score_thresh: float, classes: np.ndarray | None = None
) -> np.ndarray:
    """Turn what a segmenter or a mask predictor says of one frame into a mask.

    Args:
        output: with ``instances``, ``sem_seg`` scores ``(49, H, W)``, or ``mask`` uint8 ``(H, W)``.
        score_thresh: instances below it are not painted.
        classes: class numbers that may be in the mask; None for all.

    Returns:
        uint8 ``(H, W)``.
    """
    if "mask" in output:
        given: np.ndarray = output["mask"].cpu().numpy()
        return given if classes is None else np.where(np.isin(given, classes), given, 0)
    if "sem_seg" in output:
        scores = output["sem_seg"].float()
        if classes is not None:
            barred = np.setdiff1d(np.arange(1, NUM_CLASSES), classes)
            scores = scores.clone()
            scores[torch.from_numpy(barred).to(scores.device)] = -torch.inf
        mask: np.ndarray = scores.argmax(0).to(torch.uint8).cpu().numpy()
        return mask
    instances = output["instances"]
    if classes is not None:
        kept = np.isin(instances.pred_classes.cpu().numpy() + 1, classes)
        instances = instances[torch.from_numpy(kept).to(instances.pred_classes.device)]
    return instances_to_semantic(instances, score_thresh)


def confidence(output: dict[str, Any], score_thresh: float) -> tuple[float, int]:
    """Return how sure a segmenter is of the objects in one frame.

    Args:
        output: with ``sem_seg`` logits ``(49, H, W)`` or ``instances``.
        score_thresh: instances below it do not count.

    Returns:
        the sum over the pixels of objects of the probability of their class, or of their
        instance's score, and the number of those pixels; both 0 where nothing is found.
    """
    if "sem_seg" in output:
        best, classes = output["sem_seg"].float().softmax(0).max(0)
        objects = classes > 0
        return float(best[objects].sum()), int(objects.sum())
    instances = output["instances"]
    kept = instances.scores >= score_thresh
    areas = instances.pred_masks[kept].flatten(1).sum(1)
    # Some engines score in bfloat16, in which a sum of so many pixels is coarse.
    return float((areas * instances.scores[kept].double()).sum()), int(areas.sum())
