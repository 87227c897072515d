"""From the instances that Mask R-CNN detects to a semantic mask."""

import numpy as np

from vps_d2.d2.structures import Instances


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
