"""DAVIS's measures of video object segmentation: J, F, and their mean J&F.

J is the region similarity, the intersection over union of two masks. F is the similarity of their
boundaries: the harmonic mean of precision and recall of boundary pixels, which match if they are at
most ``ceil(0.008 * diagonal)`` pixels apart (Perazzi et al., CVPR 2016; Pont-Tuset et al.,
arXiv:1704.00675). The numbers equal those of the public davis2017-evaluation.

Shapes: ``H`` rows, ``W`` columns. Masks are bool ``(H, W)``; object maps are uint8 ``(H, W)`` with
0 for none.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from vps_d2.data.object_maps import object_numbers

__all__ = ["SequenceScores", "boundary_similarity", "region_similarity", "summarize"]

_TOLERANCE = 0.008  # of the diagonal
_RECALL = 0.5
_NUM_PARTS = 4  # of a sequence, for the decay from the first to the last
_VOID = 255  # in the truth: pixels that nobody labeled


def region_similarity(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return J, the intersection over union of two masks; 1 if both are empty.

    Args:
        predicted: bool ``(H, W)``.
        truth: bool ``(H, W)``.
    """
    union = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / union if union else 1.0


def boundary_similarity(
    predicted: np.ndarray, truth: np.ndarray, tolerance: int | None = None
) -> float:
    """Return F, the similarity of the boundaries of two masks; 1 if both have none.

    Args:
        predicted: bool ``(H, W)``.
        truth: bool ``(H, W)``.
        tolerance: distance in pixels at which boundary pixels still match; None for DAVIS's.
    """
    if tolerance is None:
        tolerance = math.ceil(_TOLERANCE * math.hypot(*truth.shape))
    # Beyond the box of both masks there is nothing; a frame around it keeps what is near.
    x, y, width, height = cv2.boundingRect((predicted | truth).astype(np.uint8))
    rows, columns = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    found, wanted = (_boundary(mask)[rows, columns] for mask in (predicted, truth))
    num_found, num_wanted = np.count_nonzero(found), np.count_nonzero(wanted)
    if not num_found or not num_wanted:
        return float(num_found == num_wanted)
    precision = np.count_nonzero(found & _dilate(wanted, tolerance)) / num_found
    recall = np.count_nonzero(wanted & _dilate(found, tolerance)) / num_wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Return the pixels whose right, lower or lower right neighbor differs, bool ``(H, W)``."""
    boundary = np.zeros_like(mask)
    right, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    boundary[:, :-1] |= right
    boundary[:-1] |= below
    boundary[:-1, :-1] |= mask[1:, 1:] != mask[:-1, :-1]
    return boundary


def _dilate(boundary: np.ndarray, radius: int) -> np.ndarray:
    offsets = np.arange(-radius, radius + 1)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    # Outside the picture is nothing, whatever the part of it that is given.
    padded = np.pad(boundary.astype(np.uint8), radius)
    dilated = cv2.dilate(padded, disc)
    inside = slice(radius, -radius or None)
    return dilated[inside, inside] > 0


class SequenceScores:
    """J and F of the objects of one sequence, taken in frame by frame.

    The frame in which an object is first seen in the truth, where its mask is given, and the last
    frame of the sequence do not count, as in DAVIS's semi-supervised task. DAVIS itself knows only
    the objects of the first frame, as do almost all of its sequences.
    """

    def __init__(self) -> None:
        self._scores: dict[int, list[tuple[float, float]]] = {}

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in the next frame.

        Args:
            predicted: object map.
            truth: object map of the same size; 255 marks pixels of no object.

        Raises:
            ValueError: if the sizes differ.
        """
        if predicted.shape != truth.shape:
            raise ValueError(f"masks have the shapes {predicted.shape} and {truth.shape}")
        for number, scores in self._scores.items():
            pair = predicted == number, truth == number
            scores.append((region_similarity(*pair), boundary_similarity(*pair)))
        for number in object_numbers(truth):
            if number != _VOID:
                self._scores.setdefault(number, [])

    def compute(self) -> dict[int, dict[str, float]]:
        """Return the measures of each object by its number.

        They are ``J&F`` and, of J as of F, the mean over frames (``J``), the share of frames above
        0.5 (``J_recall``), and how much lower the last quarter of the frames is than the first
        (``J_decay``). Objects of which no frame counts are left out.
        """
        results = {}
        for number, scores in sorted(self._scores.items()):
            if len(scores) > 1:
                region, boundary = np.array(scores[:-1]).T
                values = {**_statistics("J", region), **_statistics("F", boundary)}
                results[number] = {"J&F": (values["J"] + values["F"]) / 2, **values}
        return results


def _statistics(name: str, values: np.ndarray) -> dict[str, float]:
    """Return mean, recall and decay of the values of all frames."""
    edges = (np.round(np.linspace(1, len(values), _NUM_PARTS + 1) + 1e-10) - 1).astype(int)
    first, last = values[: edges[1] + 1], values[edges[-2] :]
    return {
        name: float(values.mean()),
        f"{name}_recall": float((values > _RECALL).mean()),
        f"{name}_decay": float(first.mean() - last.mean()),
    }


def summarize(objects: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each measure over objects; DAVIS's global scores are those of all.

    Args:
        objects: of any number of sequences, from :meth:`SequenceScores.compute`; one or more.
    """
    return {name: float(np.mean([each[name] for each in objects])) for name in objects[0]}
