"""Average precision and recall of tubes, as YouTube-VIS defines them (arXiv 1905.04804, section 5).

The IoU of two tubes is the sum of their masks' intersections over all frames by the sum of the
unions. Everything else is as in COCO, with a video instead of a picture.

Shapes: ``K`` classes; ``D`` predicted and ``G`` true tubes of a class in a video; ``T`` IoU
thresholds, ``A`` ranges of area, ``R`` recalls, ``M`` numbers of tubes.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from pycocotools import mask as mask_utils

from vps_d2.data.tubes import Rle, Tube

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Least IoU of a predicted and a true tube that match."""
_RECALLS = np.linspace(0, 1, 101)
_MOST_TUBES = (1, 10, 100)
"""Numbers of tubes of a class in a video that count, those with the highest scores."""
_AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 128.0**2),
    "medium": (128.0**2, 256.0**2),
    "large": (256.0**2, 1e10),
}
"""Ranges of a tube's mean area, over the frames in which it is visible, in pixels."""
_LOWS, _HIGHS = (np.array(bounds)[:, None] for bounds in zip(*_AREAS.values(), strict=True))
_AT_75 = 5  # index of the threshold 0.75


class TubePrediction(TypedDict):
    """A predicted tube; ``category_id`` is the class number minus one, see also :class:`Tube`."""

    category_id: int
    score: float
    segmentations: list[Rle | None]


class _Matches(NamedTuple):
    """The tubes of a class in a video, predictions by descending score.

    ``scores`` ``(D,)``; bool ``right`` ``(A, T, D)``, whether a prediction matches a true tube;
    bool ``ignored`` ``(A, T, D)`` and ``truth_ignored`` ``(A, G)``, whether a tube does not count.
    """

    scores: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    truth_ignored: np.ndarray


class TubeAP:
    """Collects videos, and computes the scores of all of them.

    Only matches are kept, not masks. Predictions with the same score rank in the order in which
    they were added; the public evaluation takes videos in ascending order of their ids.

    Args:
        num_classes: ``K``, background not included.
    """

    def __init__(self, num_classes: int) -> None:
        self._matches: list[list[_Matches]] = [[] for _ in range(num_classes)]

    def add(self, truth: Sequence[Tube], predictions: Sequence[TubePrediction]) -> None:
        """Match the tubes of a video.

        Args:
            truth: its objects.
            predictions: of it; masks have the size and number of those of the truth.
        """
        classes = {tube["category_id"] for tube in (*truth, *predictions)}
        for number in sorted(classes):
            true_tubes = [tube for tube in truth if tube["category_id"] == number]
            found = [tube for tube in predictions if tube["category_id"] == number]
            self._matches[number].append(_match(true_tubes, found))

    def compute(self) -> dict[str, float]:
        """Return the scores from 0 to 1.

        ``AP`` is the mean over the thresholds 0.50 to 0.95 and the classes; ``AP50`` and ``AP75``
        are those at one threshold; ``APs``, ``APm`` and ``APl`` those of tubes with a mean area
        below 128 squared pixels, up to 256 squared, and above. ``AR1``, ``AR10`` and ``AR100`` are
        recalls with at most that many tubes of a class in a video, ``ARs``, ``ARm`` and ``ARl``
        those by area. A score is NaN if no true tube counts for it.
        """
        shape = (len(_AREAS), len(THRESHOLDS))
        precision = np.full((len(self._matches), *shape, len(_RECALLS)), np.nan)
        recall = np.full((len(self._matches), len(_MOST_TUBES), *shape), np.nan)
        for number, matches in enumerate(self._matches):
            if matches:
                precision[number], recall[number] = _accumulate(matches)
        return {
            "AP": _mean(precision[:, 0]),
            "AP50": _mean(precision[:, 0, 0]),
            "AP75": _mean(precision[:, 0, _AT_75]),
            **{f"AP{name[0]}": _mean(precision[:, area]) for area, name in _part_areas()},
            **{f"AR{most}": _mean(recall[:, i, 0]) for i, most in enumerate(_MOST_TUBES)},
            **{f"AR{name[0]}": _mean(recall[:, -1, area]) for area, name in _part_areas()},
        }

    def compute_per_class(self) -> list[float]:
        """Return the AP of each class from 0 to 1, NaN for a class without true tubes."""
        return [
            _mean(_accumulate(matches)[0][0]) if matches else float("nan")
            for matches in self._matches
        ]


def _part_areas() -> list[tuple[int, str]]:
    return list(enumerate(_AREAS))[1:]


def _mean(scores: np.ndarray) -> float:
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if known.size else float("nan")


def tube_iou(
    tubes: Sequence[Sequence[Rle | None]], others: Sequence[Sequence[Rle | None]]
) -> np.ndarray:
    """Return the IoU of each pair of tubes.

    Args:
        tubes: ``D`` lists of the masks of all frames.
        others: ``G`` such lists.

    Returns:
        float64 ``(D, G)``; 0 for a pair without any pixel.
    """
    shared = np.zeros((len(tubes), len(others)))
    areas, other_areas = (
        np.array([sum(_area(rle) for rle in masks) for masks in side], np.float64)
        for side in (tubes, others)
    )
    for masks in zip(*tubes, *others, strict=True):
        rows = [row for row, rle in enumerate(masks[: len(tubes)]) if rle]
        columns = [column for column, rle in enumerate(masks[len(tubes) :]) if rle]
        if rows and columns:
            first = [masks[row] for row in rows]
            second = [masks[len(tubes) + column] for column in columns]
            # Of a crowd, this is the intersection by the area of the first mask.
            share = mask_utils.iou(first, second, [1] * len(second))
            pixels = np.rint(share * mask_utils.area(first)[:, None])
            shared[np.ix_(rows, columns)] += pixels
    union = areas[:, None] + other_areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _area(rle: Rle | None) -> int:
    return int(mask_utils.area(rle)) if rle else 0


def _mean_area(areas: Sequence[float | None]) -> float:
    visible = [area for area in areas if area]
    return float(np.mean(visible)) if visible else 0.0


def _match(truth: Sequence[Tube], predictions: Sequence[TubePrediction]) -> _Matches:
    """Match the tubes of a class in a video, the predictions with the highest scores first.

    A prediction takes the true tube of the largest IoU that is free, first among those that count,
    then among the others. The last of several equal ones is taken, as in the public evaluation. A
    crowd can be taken any number of times.
    """
    scores = np.array([tube["score"] for tube in predictions], np.float64)
    order = np.argsort(-scores, kind="stable")[: max(_MOST_TUBES)]
    masks = [predictions[index]["segmentations"] for index in order]
    ious = tube_iou(masks, [tube["segmentations"] for tube in truth])
    crowd = np.array([bool(tube["iscrowd"]) for tube in truth], bool)
    true_areas = np.array([_mean_area(tube["areas"]) for tube in truth])
    truth_ignored = crowd | (true_areas < _LOWS) | (true_areas > _HIGHS)
    taken = np.zeros((len(_AREAS), len(THRESHOLDS), len(truth)), bool)
    right = np.zeros((*taken.shape[:2], len(order)), bool)
    ignored = np.zeros_like(right)
    if len(truth):
        ranges, thresholds = np.ogrid[: taken.shape[0], : taken.shape[1]]
        for row, iou in enumerate(ious):
            free = (iou >= THRESHOLDS[:, None]) & (crowd | ~taken)
            counting = free & ~truth_ignored[:, None]
            free = np.where(counting.any(-1, keepdims=True), counting, free)
            last_best = np.where(free, iou, -1)[..., ::-1].argmax(-1)
            best = len(truth) - 1 - last_best
            found = free.any(-1)
            right[..., row] = found
            ignored[..., row] = found & truth_ignored[ranges, best]
            taken[ranges, thresholds, best] |= found
    areas = np.array([_mean_area([_area(rle) for rle in tube]) for tube in masks])
    elsewhere = (areas < _LOWS) | (areas > _HIGHS)
    return _Matches(scores[order], right, ignored | (~right & elsewhere[:, None]), truth_ignored)


def _accumulate(videos: Sequence[_Matches]) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of a class over all videos, NaN where no true tube counts.

    Returns:
        float64 ``(A, T, R)`` with the largest number of tubes, and ``(M, A, T)``.
    """
    counting = np.concatenate([~video.truth_ignored for video in videos], 1).sum(1)
    shape = (len(_AREAS), len(THRESHOLDS))
    recall = np.full((len(_MOST_TUBES), *shape), np.nan)
    precision = np.full((*shape, len(_RECALLS)), np.nan)
    for index, most in enumerate(_MOST_TUBES):
        scores = np.concatenate([video.scores[:most] for video in videos])
        order = np.argsort(-scores, kind="stable")
        right, ignored = (
            np.concatenate([getattr(video, key)[..., :most] for video in videos], -1)[..., order]
            for key in ("right", "ignored")
        )
        hits = np.cumsum(right & ~ignored, -1, dtype=np.float64)
        misses = np.cumsum(~right & ~ignored, -1, dtype=np.float64)
        for area in np.flatnonzero(counting):
            reached = hits[area] / counting[area]
            recall[index, area] = reached[:, -1] if len(order) else 0
            if most == max(_MOST_TUBES):
                exact = hits[area] / (hits[area] + misses[area] + np.spacing(1))
                precision[area] = _interpolate(reached, exact)
    return precision, recall


def _interpolate(reached: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return the precision at each of the recalls, float64 ``(T, R)``.

    It is the largest one at that recall or a higher one, and 0 where the recall is not reached.

    Args:
        reached: recall after each prediction, ``(T, N)``.
        exact: precision there, ``(T, N)``.
    """
    best = np.maximum.accumulate(exact[:, ::-1], 1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], 1)
    places = [np.searchsorted(each, _RECALLS, side="left") for each in reached]
    return np.take_along_axis(best, np.stack(places), 1)
