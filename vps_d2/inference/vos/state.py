"""What the actions of a session amount to: its objects, the masks given, and what is hidden.

Nothing is ever changed in the files of an action. What holds now follows from the list of actions
that are not undone, so undoing and redoing cost nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vps_d2.inference.vos.log import Action

__all__ = ["DEFAULT_NAME", "Erasure", "SessionState", "split_undone"]

DEFAULT_NAME = "object"
"""Class of an object that the user gave no name."""


@dataclass(frozen=True)
class Erasure:
    """What was removed from the results of earlier actions.

    Args:
        action: number of the action that removed it.
        start: index of the first frame.
        end: index after the last frame; None for the end of the video.
        objects: that were removed; None for the results as a whole.
    """

    action: int
    start: int
    end: int | None
    objects: frozenset[int] | None

    def covers(self, index: int, action: int) -> bool:
        """Return whether it removed something from a frame that an action had made."""
        inside = self.start <= index and (self.end is None or index < self.end)
        return inside and action < self.action


@dataclass
class SessionState:
    """What holds after some actions.

    Attributes:
        objects: the class names of the objects, by number.
        given: for each frame with masks of the user, by index, the action that fixed each object
            in it.
        strokes: for each frame, by index, the strokes that made the mask of an object in it, by
            the object's number, as in the log and the newest last.
        erasures: what was removed.
        passes: propagations, the latest last.
    """

    objects: dict[int, str] = field(default_factory=dict)
    given: dict[int, dict[int, int]] = field(default_factory=dict)
    strokes: dict[int, dict[int, list[Any]]] = field(default_factory=dict)
    erasures: list[Erasure] = field(default_factory=list)
    passes: list[Action] = field(default_factory=list)

    @classmethod
    def from_actions(cls, actions: Iterable[Action]) -> "SessionState":
        """Return what holds after actions, of which none is undone."""
        state = cls()
        for action in actions:
            getattr(state, f"_{action['do']}")(action)
        return state

    def given_frames(self, numbers: Iterable[int]) -> dict[int, list[int]]:
        """Return the frames in which some of these objects were given, by object, in order."""
        frames: dict[int, list[int]] = {number: [] for number in numbers}
        for index in sorted(self.given):
            for number in self.given[index]:
                if number in frames:
                    frames[number].append(index)
        return {number: found for number, found in frames.items() if found}

    def _masks(self, action: Action) -> None:
        strokes = action.get("strokes") or []
        for index, numbers in action["frames"].items():
            for number in numbers:
                self.objects.setdefault(number, DEFAULT_NAME)
                self.given.setdefault(int(index), {})[number] = action["id"]
                drawn = self.strokes.setdefault(int(index), {})
                drawn[number] = [*drawn.get(number, ()), *strokes] if strokes else []

    def _add_object(self, action: Action) -> None:
        self.objects[action["object"]] = action["name"]

    def _remove_object(self, action: Action) -> None:
        self._erase(Erasure(action["id"], 0, None, frozenset([action["object"]])))
        del self.objects[action["object"]]

    def _clear(self, action: Action) -> None:
        numbers = None if action["objects"] is None else frozenset(action["objects"])
        self._erase(Erasure(action["id"], action["start"], action["end"], numbers))

    def _propagate(self, action: Action) -> None:
        self.passes.append(action)

    def _erase(self, erasure: Erasure) -> None:
        self.erasures.append(erasure)
        for index in [index for index in self.given if erasure.covers(index, 0)]:
            kept = self.given[index]
            if erasure.objects is None:
                kept = {}
            else:
                kept = {k: action for k, action in kept.items() if k not in erasure.objects}
            drawn = self.strokes.pop(index)
            if kept:
                self.given[index] = kept
                self.strokes[index] = {k: strokes for k, strokes in drawn.items() if k in kept}
            else:
                del self.given[index]


def split_undone(actions: Sequence[Action]) -> tuple[list[Action], list[Action]]:
    """Return the actions that hold, and those that were undone and can be redone.

    Args:
        actions: of the log, with ``undo`` and ``redo`` among them, and ``done``, which marks a
            propagation that came to its end.

    Returns:
        the actions that hold, and the undone ones, of which the last is redone first.
    """
    done: list[Action] = []
    undone: list[Action] = []
    for action in actions:
        if action["do"] == "undo":
            undone.append(done.pop())
        elif action["do"] == "redo":
            done.append(undone.pop())
        elif action["do"] != "done":
            done.append(action)
            undone.clear()
    return done, undone
