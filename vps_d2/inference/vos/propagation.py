"""How the objects of a session are followed through its video.

What the user gave in a frame is kept, whatever the engine finds; an object is followed from a frame
in which it was given. The results of frames do not depend on where a run was killed: the state of
the engine is saved from time to time, and a run goes on from there, or else from the beginning.

Shapes: ``H`` rows, ``W`` columns. Object maps are uint8 ``(H, W)``.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from vps_d2.data.object_maps import object_numbers
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.fuser import RangeFusion, find_fusion
from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.maps import (
    Scores,
    SessionMaps,
    decide,
    erase,
    shrink_object_map,
    working_size,
)
from vps_d2.inference.vos.plan import Part, plan_parts
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_whole
from vps_d2.io.video import VideoSource

__all__ = ["FrameResult", "Propagation"]

STATE_FILE = "state.pt"

# What a state with other values than such a one has can raise; a UserError is a ValueError.
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)

_MAX_PERMANENT = 32  # frames that an engine keeps for ever; the others are forgotten like any
_MAX_CHUNK_BYTES = 2**25  # of the frames in memory when a video is read backward
_MAX_CHUNK = 64
_PAUSE = 20  # at least so many times as long as it takes, before a state is saved again
_MIN_PAUSE = 10.0  # seconds


class FrameResult(NamedTuple):
    """What was found in a frame.

    Attributes:
        frame_index: of the frame.
        object_map: uint8 ``(H, W)`` at the size of the video.
        scores: how certain each object is, 0-1; 1 for what the user gave.
    """

    frame_index: int
    object_map: np.ndarray
    scores: Scores


class Propagation:
    """Follows objects as an action of the log says.

    Args:
        source: the video.
        engine: finds the objects.
        maps: of the session, after the action.
        action: a propagation, the last action of the log.
        short_side: pixels of the shorter side at which the engine works.
    """

    def __init__(
        self,
        source: VideoSource,
        engine: VOSEngine,
        maps: SessionMaps,
        action: Action,
        short_side: int | None,
    ) -> None:
        self.source, self.engine, self.maps, self.action = source, engine, maps, action
        self.size = (source.height, source.width)
        self.working = working_size(self.size, short_side)
        given = maps.state.given_frames(action["objects"])
        self.first = {number: frames[0] for number, frames in given.items()}
        self.last = {number: frames[-1] for number, frames in given.items()}
        self.parts = plan_parts(action, maps, self.first, self.last)
        self._seen: set[int] = set()
        self._permanent: list[int] = []
        self._fusion: RangeFusion | None = None  # of the part
        self._state_path = maps.action_folder("propagate", action["id"]) / STATE_FILE
        self._saved_at, self._pause = time.monotonic(), _MIN_PAUSE

    def run(self, resume: bool = False) -> Iterator[FrameResult]:
        """Visit the frames, and put each on the disk before it is yielded.

        Args:
            resume: go on after the last state that was saved.
        """
        begin, after = self._load_state() if resume else (0, None)
        if after is None:
            self.engine.reset()
        for number, part in enumerate(self.parts[begin:], begin):
            self._fusion = find_fusion(
                self.engine.fuser, self.maps, self.action, part.backward, self.working
            )
            if after is None:
                self.engine.forget_frames()
                self._remember_given(part)
            elif self._fusion:
                self._fusion.begin(self._shrink(self.source.read(part.begin).picture))
            for index, picture in self._frames(part, after):
                result = self._visit(part, index, picture)
                path = self.maps.pass_path(self.action["id"], index)
                self.maps.write(path, result.object_map, result.scores)
                self._save_state(number, index)
                yield result
            after = None
        self._state_path.unlink(missing_ok=True)

    def _followed(self, part: Part, index: int) -> list[int]:
        """Return the numbers of the objects that are followed in a frame."""
        if part.backward and not part.fills:
            return [number for number, last in self.last.items() if last >= index]
        if part.backward:
            return [number for number, first in self.first.items() if first >= index]
        return [number for number, first in self.first.items() if first <= index]

    def _visit(self, part: Part, index: int, picture: np.ndarray) -> FrameResult:
        followed = self._followed(part, index)
        fixed = set(self.maps.state.given.get(index, ())) & set(followed)
        before = None if part.fills else self.action["id"]
        known = self.maps.read(index, before)
        # Where a part begins, a map of an earlier propagation is as good as one that was given.
        if index == part.begin and known and self.maps.find_pass(index, before) is not None:
            self._remember(picture, known[0], followed, index, permanent=bool(fixed))
            if self._fusion:
                self._fusion.begin(picture)
            return FrameResult(index, *known)
        object_map, scores = known or (np.zeros(self.size, np.uint8), {})
        erase(object_map, dict.fromkeys(followed))
        scores = {number: score for number, score in scores.items() if number not in followed}
        asked = [number for number in followed if number in self._seen]
        if set(asked) - fixed:
            probabilities = self.engine.segment(picture, asked)
            if self._fusion:
                probabilities = self._fusion(index, picture, asked, probabilities)
            found, certain = decide(probabilities, asked, self.size)
            free = object_map == 0
            object_map[free] = found[free]
            scores = {**scores, **certain}
        self.maps.draw_given(index, object_map)
        if fixed:
            self._remember(picture, object_map, followed, index, permanent=True)
            scores = {**scores, **dict.fromkeys(fixed, 1.0)}
        return FrameResult(index, object_map, scores)

    def _remember(
        self,
        picture: np.ndarray,
        object_map: np.ndarray,
        followed: Sequence[int],
        index: int,
        permanent: bool,
    ) -> None:
        """Let the engine remember a frame; among permanent ones only once, and not too many."""
        own = np.where(np.isin(object_map, followed), object_map, 0)
        own = shrink_object_map(own, self.working)
        permanent = permanent and index not in self._permanent
        permanent = permanent and len(self._permanent) < _MAX_PERMANENT
        if permanent:
            self._permanent.append(index)
        self._seen.update(object_numbers(own))
        self.engine.remember(picture, own, permanent)

    def _given(self, index: int) -> Mapping[int, int]:
        return self.maps.state.given.get(index, {})

    def _remember_given(self, part: Part) -> None:
        """Let the engine remember frames anywhere in the video in which all objects are known."""
        before = None if part.fills else self.action["id"]
        whole = []
        for index in self.maps.state.given:
            followed = self._followed(part, index)
            is_known = self.maps.find_pass(index, before) is not None
            if index != part.begin and (is_known or set(followed) <= set(self._given(index))):
                whole.append(index)
        whole = sorted(set(whole) - set(self._permanent))
        if len(whole) >= _MAX_PERMANENT:  # one is left for the frame where the part begins
            chosen = np.linspace(0, len(whole) - 1, _MAX_PERMANENT - 1).round().astype(int)
            whole = [whole[place] for place in chosen]
        for index in whole:
            known = self.maps.read(index, before)
            followed = self._followed(part, index)
            if known and followed:
                with suppress(UserError):  # masks may be imported for frames that cannot be read
                    picture = self._shrink(self.source.read(index).picture)
                    self._remember(picture, known[0], followed, index, permanent=True)

    def _frames(self, part: Part, after: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames of a part that can be read, at the working size.

        Args:
            part: of the propagation.
            after: index of the frame after which to begin; None for the beginning of the part.
        """
        if part.backward:
            low = part.limit or 0
            yield from self._frames_backward(part.begin if after is None else after - 1, low)
            return
        start = part.begin if after is None else after + 1
        end = None if part.limit is None else part.limit + 1
        if end is None or start < end:
            for frame in self.source.frames(start, end):
                yield frame.index, self._shrink(frame.picture)

    def _frames_backward(self, high: int, low: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield frames in descending order; a part of the video at a time is read forward."""
        count = _MAX_CHUNK_BYTES // (self.working[0] * self.working[1] * 3)
        count = min(max(count, 1), _MAX_CHUNK)
        while high >= low:
            start = max(high + 1 - count, low)
            chunk = [
                (frame.index, self._shrink(frame.picture))
                for frame in self.source.frames(start, high + 1)
            ]
            yield from reversed(chunk)
            high = start - 1

    def _shrink(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape[:2] == self.working:
            return picture
        return cv2.resize(picture, self.working[::-1], interpolation=cv2.INTER_AREA)

    def _save_state(self, part: int, index: int) -> None:
        """Save the state of the engine, now and then."""
        start = time.monotonic()
        if start - self._saved_at < self._pause:
            return
        state = self.engine.get_state()
        if state is not None:
            import torch  # late: a session is opened, and its masks are shown, without it

            numbers = {"part": part, "index": index, "permanent": self._permanent}
            with write_whole(self._state_path) as file:
                torch.save({**numbers, "seen": sorted(self._seen), "engine": dict(state)}, file)
        self._saved_at = time.monotonic()
        self._pause = max(_MIN_PAUSE, _PAUSE * (self._saved_at - start))

    def _load_state(self) -> tuple[int, int | None]:
        """Return the part and the index of the frame after which to go on; 0 and None for all.

        All is done again if the state is damaged, as the results are the same.
        """
        if not Path(self._state_path).exists():
            return 0, None
        from vps_d2.io.checkpoints import read_checkpoint  # late, as PyTorch above

        try:
            state: dict[str, Any] = read_checkpoint(str(self._state_path))
            part, index = state["part"], state["index"]
            numbers = (part, index, *state["permanent"], *state["seen"])
            if {*map(type, numbers)} != {int} or min(numbers) < 0 or part >= len(self.parts):
                raise ValueError("its numbers are none of such a state")
            self.engine.reset()
            self.engine.set_state(state["engine"])
        except _DAMAGED as error:
            words = "%s cannot be used (%r), so all frames are done again."
            logging.getLogger(__name__).warning(words, self._state_path, error)
            return 0, None
        self._permanent, self._seen = list(state["permanent"]), set(state["seen"])
        return part, index
