"""The objects of a video: what is known of each track in the end, and the best of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vps_d2.data.tubes import elect_class

MAX_OBJECTS = 255
"""Objects of a video that an object map, uint8, can number."""


@dataclass
class TrackedObject:
    """An object of a video, without its masks.

    Args:
        track_id: of the tracker.
        first: place of the first frame in which it was seen, counted from 0.
        last: place of the last one.
        num_frames: in which it was seen.
        total: sum of its scores.
        votes: sum of its scores by class number minus one.
    """

    track_id: int
    first: int
    last: int
    num_frames: int = 0
    total: float = 0.0
    votes: dict[int, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """Mean of the scores in the frames in which it was seen."""
        return self.total / self.num_frames

    @property
    def category_id(self) -> int:
        """The class number minus one with the largest sum of scores; the lowest of equal ones."""
        return elect_class(self.votes)


class ObjectCollector:
    """Collects the objects of a video while it is tracked."""

    def __init__(self) -> None:
        self.objects: dict[int, TrackedObject] = {}
        self.num_frames = 0

    def add(
        self, track_ids: Iterable[int], classes: Iterable[int], scores: Iterable[float]
    ) -> None:
        """Add the next frame.

        Args:
            track_ids: of its instances; 0 for one without a track, which is left out.
            classes: their class numbers minus one.
            scores: theirs.
        """
        place = self.num_frames
        self.num_frames += 1
        for track_id, number, score in zip(track_ids, classes, scores, strict=True):
            if not track_id:
                continue
            seen = self.objects.setdefault(track_id, TrackedObject(track_id, place, place))
            seen.last = place
            seen.num_frames += 1
            seen.total += score
            seen.votes[number] = seen.votes.get(number, 0.0) + score

    def choose(self, max_instances: int) -> list[TrackedObject]:
        """Return the objects with the highest scores.

        Args:
            max_instances: how many may overlap in time.

        Returns:
            at most 255, in the order in which they appear: object ``k`` of the results is the
            ``k``-th, counted from 1.
        """
        load = np.zeros(self.num_frames, np.int32)
        chosen: list[TrackedObject] = []
        for each in sorted(self.objects.values(), key=lambda each: (-each.score, each.track_id)):
            span = slice(each.first, each.last + 1)
            if len(chosen) < MAX_OBJECTS and load[span].max(initial=0) < max_instances:
                load[span] += 1
                chosen.append(each)
        return sorted(chosen, key=lambda each: (each.first, each.track_id))
