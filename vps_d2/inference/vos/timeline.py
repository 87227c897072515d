"""What is known of each object in each frame of a session, as runs of frames.

It is kept in memory while frames are found, so that nothing has to be read again to draw it. For a
session that is opened, the scores are read from the heads of its files, without their pictures.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.maps import Scores, SessionMaps

__all__ = ["DOUBTFUL_SCORE", "Timeline"]

DOUBTFUL_SCORE = 0.7
"""An object with a lower score is doubtful: it may have been lost."""

_KINDS = ("", "propagated", "empty", "doubtful")
_PROPAGATED, _EMPTY, _DOUBTFUL = 1, 2, 3


class _Pass:
    """The scores that a propagation found, from frame ``start`` on; NaN where it has none."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.present = np.zeros(64, bool)
        self.scores: dict[int, np.ndarray] = {}

    @property
    def end(self) -> int:
        return self.start + len(self.present)

    def put(self, index: int, scores: Scores) -> None:
        """Set the scores of a frame."""
        if not self.start <= index < self.end:
            self._grow(index)
        place = index - self.start
        for number in scores.keys() - self.scores.keys():
            self.scores[number] = np.full(len(self.present), np.nan, np.float32)
        for number, row in self.scores.items():
            row[place] = scores.get(number, np.nan)
        self.present[place] = True

    def _grow(self, index: int) -> None:
        """Make room for a frame, and for as many again on its side."""
        size = len(self.present)
        before = min(max(self.start - index, size), self.start) if index < self.start else 0
        after = max(index + 1 - self.end, size) if index >= self.end else 0
        self.present = np.pad(self.present, (before, after))
        self.scores = {
            number: np.pad(row, (before, after), constant_values=np.nan)
            for number, row in self.scores.items()
        }
        self.start -= before


class Timeline:
    """Rows of frames, one for each object; threads may share it.

    Args:
        maps: of the session.
    """

    def __init__(self, maps: SessionMaps) -> None:
        self._maps = maps
        self._passes: dict[int, _Pass] = {}
        self._whole: set[int] = set()  # of which nothing is left to be read
        self._lock = threading.Lock()

    def begin(self, action: int) -> None:
        """Take in that a propagation begins, all of whose frames will be added."""
        self._whole.add(action)

    def add(self, action: int, index: int, scores: Scores) -> None:
        """Take in a frame that was found.

        Args:
            action: number of the propagation.
            index: of the frame.
            scores: of its objects, by number.
        """
        with self._lock:
            if action not in self._passes:
                self._passes[action] = _Pass(index)
            self._passes[action].put(index, scores)

    def count(self, action: int) -> int:
        """Return how many frames of a propagation are known."""
        with self._lock:
            found = self._passes.get(action)
            return 0 if found is None else int(np.count_nonzero(found.present))

    def load(self, is_wanted: Callable[[], bool]) -> bool:
        """Read the scores of propagations that hold and are not known here.

        Args:
            is_wanted: asked after each file whether to go on.

        Returns:
            whether there were any.
        """
        passes = [each["id"] for each in self._maps.state.passes]
        missing = [action for action in passes if action not in self._whole]
        for action in missing:
            for index in self._maps.pass_frames(action):
                if not is_wanted():
                    return True
                scores = self._maps.read_scores(action, index)
                if scores is not None:
                    self.add(action, index, scores)
            self._whole.add(action)
        return bool(missing)

    def rows(self) -> dict[int, dict[str, Any]]:
        """Return what is known.

        Returns:
            for each object, by number, ``touched``: the indices of the frames in which it was
            given; and ``runs``: start, end (exclusive) and kind of runs of other frames, which are
            "propagated", "empty" where it has no pixel, or "doubtful".
        """
        state = self._maps.state
        with self._lock:
            latest = self._find_latest(state.passes)
            for erasure in state.erasures:
                if erasure.objects is None:
                    part = latest[erasure.start : erasure.end]
                    part[part < erasure.action] = 0
            rows = {number: self._row(number, latest) for number in state.objects}
        touched: dict[int, list[int]] = {number: [] for number in rows}
        for index in sorted(state.given):
            for number in state.given[index]:
                touched[number].append(index)
        result = {}
        for number in sorted(rows):
            inside = [index for index in touched[number] if index < len(latest)]
            rows[number][inside] = 0
            result[number] = {"touched": touched[number], "runs": list(_runs(rows[number]))}
        return result

    def _find_latest(self, passes: Sequence[Action]) -> np.ndarray:
        """Return the number of the last propagation that came to each frame; 0 for none."""
        known = [(each["id"], self._passes.get(each["id"])) for each in passes]
        found = [(action, each) for action, each in known if each is not None]
        latest = np.zeros(max((each.end for _, each in found), default=0), np.int64)
        for action, each in found:
            latest[each.start : each.end][each.present] = action
        return latest

    def _row(self, number: int, latest: np.ndarray) -> np.ndarray:
        """Return the place in ``_KINDS`` of an object's frames, uint8."""
        scores = np.full(len(latest), np.nan, np.float32)
        for action, found in self._passes.items():
            if number in found.scores and found.start < len(latest):
                own = slice(found.start, min(found.end, len(latest)))
                chosen = latest[own] == action
                scores[own][chosen] = found.scores[number][: len(chosen)][chosen]
        for erasure in self._maps.state.erasures:
            if erasure.objects is not None and number in erasure.objects:
                own = slice(erasure.start, erasure.end)
                scores[own][latest[own] < erasure.action] = np.nan
        kinds = np.where(scores >= DOUBTFUL_SCORE, _PROPAGATED, _DOUBTFUL).astype(np.uint8)
        kinds[scores == 0] = _EMPTY
        kinds[np.isnan(scores)] = 0
        return kinds


def _runs(kinds: np.ndarray) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and kind of each run of equal values but 0."""
    bounds = np.flatnonzero(np.diff(kinds, prepend=0, append=0)).tolist()
    for start, end in pairwise(bounds):
        if kinds[start]:
            yield start, end, _KINDS[kinds[start]]
