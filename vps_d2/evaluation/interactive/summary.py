"""The measures of interactive segmentation: how good results are after so many seconds and rounds.

They are those of the DAVIS interactive challenge (Caelles et al., arXiv:1803.00557). The area under
the curve over time rewards speed above all, so the curve over rounds stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

from vps_d2.evaluation.vos_metrics import boundary_similarity, region_similarity

__all__ = ["MEASURES", "Round", "Sample", "choose_frame", "score_frame", "summarize_samples"]

MEASURES = ("J&F", "J", "F")
"""The mean of the other two, region similarity, and boundary similarity."""

_THRESHOLD = 60.0  # seconds


@dataclass(frozen=True)
class Round:
    """What became of a video in one round of scribbles.

    Args:
        frame: index of the frame that was scribbled on.
        seconds: from getting the scribbles to the masks of all frames.
        objects: the :data:`MEASURES` of each object, by its number, as means over all frames.
    """

    frame: int
    seconds: float
    objects: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Sample:
    """A video with one set of first scribbles.

    Args:
        video: its name.
        scribbles: name of the set of first scribbles.
        objects: numbers of the objects.
        rounds: those that were done, one or more unless time ran out.
    """

    video: str
    scribbles: str
    objects: tuple[int, ...]
    rounds: tuple[Round, ...]


def score_frame(
    predicted: np.ndarray, truth: np.ndarray, objects: Sequence[int]
) -> list[tuple[float, float]]:
    """Return J and F of each object in a frame.

    Args:
        predicted: object map uint8 ``(H, W)``.
        truth: likewise.
        objects: their numbers.
    """
    scores = []
    for number in objects:
        pair = predicted == number, truth == number
        scores.append((region_similarity(*pair), boundary_similarity(*pair)))
    return scores


def choose_frame(scores: np.ndarray, used: Sequence[int]) -> int:
    """Return the index of the frame to scribble on next: the worst one that was not used yet.

    Args:
        scores: J and F, float ``(T, K, 2)`` for ``T`` frames and ``K`` objects.
        used: indices of the frames that were chosen before; if those are all, each may be again.
    """
    means = scores.mean((1, 2))
    left = [index for index in range(len(means)) if index not in used] or range(len(means))
    return int(min(left, key=lambda index: means[index]))


def summarize_samples(
    samples: Sequence[Sample], num_rounds: int, object_seconds: float | None = None
) -> dict[str, Any]:
    """Return the measures over all objects of all samples, as the challenge reports them.

    A round that was not done repeats the scores of the one before, in no time; all scores before
    the first round are 0.

    Args:
        samples: one or more.
        num_rounds: of each sample, unless its time ran out.
        object_seconds: time for all rounds of a sample, for each of its objects; None for no limit.

    Returns:
        ``AUC``, the area under the curve of J&F over time, divided by the ``max_seconds`` of the
        curve; ``J&F@60s``; and lists with an entry for each round: the :data:`MEASURES`, and
        ``seconds`` since the beginning.
    """
    rows = [
        [_read_round(sample, number, place) for place in range(num_rounds)]
        for sample in samples
        for number in sample.objects
    ]
    values = np.mean(rows, axis=0)  # (rounds, measures)
    times = np.array([[_read_time(each, place) for place in range(num_rounds)] for each in samples])
    seconds = np.cumsum(times.mean(0))
    if object_seconds is None:
        limit = num_rounds * float(times.max())
    else:
        limit = object_seconds * float(np.mean([len(sample.objects) for sample in samples]))
    curve = np.array([0.0, *seconds, limit]), np.array([0.0, *values[:, 0], values[-1, 0]])
    return {
        "AUC": float(trapezoid(curve[1], curve[0]) / curve[0].max()),
        "J&F@60s": float(np.interp(_THRESHOLD, *curve)),
        "max_seconds": limit,
        "rounds": {
            "seconds": seconds.tolist(),
            **{name: values[:, place].tolist() for place, name in enumerate(MEASURES)},
        },
    }


def _read_round(sample: Sample, number: int, place: int) -> list[float]:
    """Return the measures of an object after a round, or after the last one that was done."""
    done = sample.rounds[: place + 1]
    return [done[-1].objects[number][name] if done else 0.0 for name in MEASURES]


def _read_time(sample: Sample, place: int) -> float:
    return sample.rounds[place].seconds if place < len(sample.rounds) else 0.0
