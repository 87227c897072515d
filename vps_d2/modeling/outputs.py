"""The outputs of models by task, and the class maps made from them.

Shapes: ``T`` frames, ``C`` classes with background, ``K`` objects, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np
import torch

from vps_d2.d2.structures import Instances
from vps_d2.data.paths import ObjectPath


class FramesOutput(TypedDict):
    """Of a video, by a model for ``frames``: float32 ``(T, 3, H, W)``, RGB, 0-255."""

    frames: torch.Tensor


class SegmentationOutput(TypedDict, total=False):
    """Of a frame, by a model for ``segmentation``; one of the keys.

    ``instances`` have ``pred_masks`` bool ``(K, H, W)``, ``pred_classes`` (class number minus one)
    and ``scores``; ``sem_seg`` are logits float32 ``(C, H, W)``.
    """

    instances: Instances
    sem_seg: torch.Tensor


class FutureMasksOutput(TypedDict, total=False):
    """Of a video, by a model for ``future_masks``: ``sem_seg`` or ``mask``, of the last frame.

    ``sem_seg`` are logits float32 ``(C, H, W)``, ``mask`` is a class map uint8 ``(H, W)``;
    ``sem_segs`` ``(T, C, H, W)`` and ``masks`` ``(T, H, W)`` are those of all predicted frames. Of
    the objects that a model follows, ``class_ids`` int64 ``(K,)``, ``probabilities`` float32 ``(K,
    T)`` of being near their predicted places, and ``places`` float32 ``(K, T, 2)``, meters on the
    floor, from the last input frame on; ``centers`` float32 ``(K, T, 2)`` is where their centers
    are seen, x and y in pixels, and ``futures`` float32 ``(K, P, 2)`` where they may be seen in the
    last frame, all alike likely; ``orientations`` float32 ``(K, T, 2)`` are cosine and sine of four
    times the yaw of cubes, times how certain it is, 0-1.
    """

    sem_seg: torch.Tensor
    sem_segs: torch.Tensor
    mask: torch.Tensor
    masks: torch.Tensor
    class_ids: torch.Tensor
    probabilities: torch.Tensor
    places: torch.Tensor
    centers: torch.Tensor
    futures: torch.Tensor
    orientations: torch.Tensor


class VideoInstancesOutput(TypedDict):
    """Of a video, by a model for ``video_instances``: the objects of each of its frames.

    They have ``pred_masks`` bool ``(K, H, W)`` of the size of the video, ``pred_classes`` int64
    ``(K,)`` (class number minus one) and ``scores`` float32 ``(K,)``; and ``track_ids`` int64
    ``(K,)`` if the model follows the objects, or else, where it has them, ``embeddings`` float32
    ``(K, D)`` to follow them by.
    """

    instances: list[Instances]


class VideoObjectsOutput(TypedDict):
    """Of a video, by a model for ``video_objects``: ``object_maps`` uint8 ``(T, H, W)``.

    The value of a pixel is the number of its object, as in the map of the first frame; 0 for none.
    """

    object_maps: torch.Tensor


class ObjectMaskOutput(TypedDict):
    """Of a picture with strokes, by a model for ``object_mask``: float32 ``(H, W)``, 0-1.

    The probability of each pixel to be of the object that the strokes are about.
    """

    probability: torch.Tensor


class FusedMasksOutput(TypedDict):
    """Of a frame, by a model for ``fused_masks``: ``probabilities`` float32 ``(K + 1, H, W)``.

    The background is first; they sum to 1 in each pixel.
    """

    probabilities: torch.Tensor


@runtime_checkable
class ClassMapper(Protocol):
    """A segmenter that can return class maps alone, which is faster than scores."""

    def class_maps(
        self,
        batched_inputs: list[dict[str, Any]],
        classes: Sequence[np.ndarray | None] | None = None,
    ) -> torch.Tensor:
        """Segment frames.

        Args:
            batched_inputs: one frame or more, as the model takes them.
            classes: for each frame the classes that may be in it besides 0, None for all.

        Returns:
            uint8 ``(N, H, W)``, what :func:`output_to_mask` makes of the scores.
        """


def best_class(scores: torch.Tensor, classes: np.ndarray | None = None) -> torch.Tensor:
    """Return the class with the highest score; if there are several, the first one.

    PyTorch's ``argmax`` over the first dimension does the same one element at a time, and takes
    two to three times as long on a CPU.

    Args:
        scores: ``(C, ...)``, of at most 256 classes; they are overwritten.
        classes: those that may win besides 0; None for all.

    Returns:
        uint8 ``(...)``.
    """
    count = len(scores)
    if classes is not None:
        barred = np.setdiff1d(np.arange(1, count), classes)
        scores[torch.from_numpy(barred).to(scores.device)] = -torch.inf
    # The first of equal scores has the highest rank. All steps are exact, even in bfloat16.
    ranks = torch.arange(count - 1, -1, -1, dtype=scores.dtype, device=scores.device)
    ranks = ranks.view(-1, *[1] * (scores.ndim - 1))
    highest = scores.eq_(scores.amax(0)).mul_(ranks).amax(0)
    return (count - 1 - highest).to(torch.uint8)


def instances_to_semantic(
    instances: Instances, score_thresh: float = 0.5, one_per_class: bool = False
) -> np.ndarray:
    """Paint instances into one class map, with the most certain on top.

    Args:
        instances: with ``pred_masks`` bool ``(K, H, W)``, ``pred_classes`` (class number minus one)
            and ``scores``.
        score_thresh: instances below it are left out.
        one_per_class: keep only the most certain instance of a class, as a second one must be a
            mistake (``Taxonomy.one_object_per_class``).

    Returns:
        uint8 ``(H, W)``: 0 for background.
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
    output: Mapping[str, Any],
    score_thresh: float,
    classes: np.ndarray | None = None,
    *,
    one_per_class: bool = False,
) -> np.ndarray:
    """Turn the output of a segmenter or mask predictor for one frame into a class map.

    Args:
        output: with ``instances``, ``sem_seg`` scores ``(C, H, W)``, or ``mask`` uint8 ``(H, W)``.
        score_thresh: instances below it are not painted.
        classes: class numbers that may be in the map; None for all.
        one_per_class: see :func:`instances_to_semantic`.

    Returns:
        uint8 ``(H, W)``.
    """
    if "mask" in output:
        given: np.ndarray = output["mask"].cpu().numpy()
        return given if classes is None else np.where(np.isin(given, classes), given, 0)
    if "sem_seg" in output:
        mask: np.ndarray = best_class(output["sem_seg"].clone(), classes).cpu().numpy()
        return mask
    instances = output["instances"]
    if classes is not None:
        kept = np.isin(instances.pred_classes.cpu().numpy() + 1, classes)
        instances = instances[torch.from_numpy(kept).to(instances.pred_classes.device)]
    return instances_to_semantic(instances, score_thresh, one_per_class)


def output_to_paths(
    output: Mapping[str, Any], classes: np.ndarray | None = None
) -> list[ObjectPath]:
    """Return the paths of the objects that a mask predictor follows, none if it follows none.

    Args:
        output: with ``class_ids``, ``centers``, ``futures`` and ``probabilities``, if the model
            gives them.
        classes: class numbers whose paths are wanted; None for all.
    """
    if "centers" not in output:
        return []
    numbers = output["class_ids"].tolist()
    centers = output["centers"].float().cpu().numpy()
    probabilities = output["probabilities"].float().cpu().numpy()
    futures = output.get("futures", torch.empty(len(numbers), 0, 2)).float().cpu().numpy()
    paths = map(ObjectPath, numbers, centers, probabilities, futures)
    return [path for path in paths if classes is None or path.class_id in classes]


def confidence(output: Mapping[str, Any], score_thresh: float) -> tuple[float, int]:
    """Return how sure a segmenter is of the objects in one frame.

    Args:
        output: with ``sem_seg`` logits ``(C, H, W)`` or ``instances``.
        score_thresh: instances below it do not count.

    Returns:
        the sum over all pixels of objects of the probability of their class, or of the score of
        their instance, and the number of these pixels; both 0 if nothing is found.
    """
    if "sem_seg" in output:
        best, classes = output["sem_seg"].float().softmax(0).max(0)
        objects = classes > 0
        return float(best[objects].sum()), int(objects.sum())
    instances = output["instances"]
    kept = instances.scores >= score_thresh
    areas = instances.pred_masks[kept].flatten(1).sum(1)
    # Scores can be bfloat16, in which a sum over this many pixels would be coarse.
    return float((areas * instances.scores[kept].double()).sum()), int(areas.sum())
