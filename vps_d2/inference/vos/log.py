"""The log of a session's actions: a line of JSON each, on the disk before it is answered."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vps_d2.data.strokes import Stroke
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, write_errors

__all__ = ["Action", "ActionLog", "is_action"]

Action = dict[str, Any]
"""What was done: ``id``, counted from 1, ``do``, and what belongs to it."""


def _is_number(value: Any, low: int = 0, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_object(value: Any) -> bool:
    return _is_number(value, 1, 255)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _are_frames(value: Any) -> bool:
    return isinstance(value, dict) and all(
        index.isdecimal() and index.isascii() and _are_objects(numbers)
        for index, numbers in value.items()
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_end(value: Any) -> bool:
    return value is None or _is_number(value, 1)


def _are_strokes(value: Any) -> bool:
    if value is None:  # masks without any
        return True
    try:
        return isinstance(value, list) and bool([Stroke.from_json(each) for each in value])
    except UserError:
        return False


_OF: dict[str, Callable[[Any], bool]] = {"of": _is_number}
_FORMS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "masks": {"frames": _are_frames, "strokes": _are_strokes},
    "add_object": {"object": _is_object, "name": _is_text},
    "remove_object": {"object": _is_object},
    "clear": {
        "start": _is_number,
        "end": _is_end,
        "objects": lambda value: value is None or _are_objects(value),
    },
    "propagate": {
        "direction": _is_text,
        "start": _is_number,
        "end": _is_end,
        "objects": _are_objects,
        "engine": _is_text,
        "short_side": _is_end,
        "at": lambda value: value is None or _is_number(value),
    },
    "undo": _OF,
    "redo": _OF,
    "done": _OF,
}
"""What each action has, and what these values are; a value may be missing if it may be None."""


def is_action(value: Any) -> bool:
    """Return whether a value of JSON is an action in the form that is logged."""
    if not isinstance(value, dict) or not _is_number(value.get("id"), 1):
        return False
    form = _FORMS.get(value["do"]) if isinstance(value.get("do"), str) else None
    return form is not None and all(fits(value.get(key)) for key, fits in form.items())


class ActionLog:
    """Actions in the order in which they were done; lines are only ever added.

    A process that is killed while it writes leaves half a line, which nobody was told about; it is
    removed when the log is opened again.

    Args:
        path: of the file, which is made if it is missing.

    Attributes:
        actions: all of them so far.

    Raises:
        UserError: if the file cannot be read or written, or is no such log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.actions: list[Action] = []
        with write_errors(path):
            if path.exists():
                self._read()
            else:
                path.touch()

    def _read(self) -> None:
        with open_regular(self.path) as file:
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                action = json.loads(line)
            except (ValueError, RecursionError):
                action = None
            if not is_action(action) or action["id"] != number:
                raise UserError(
                    f"{self.path} is damaged in line {number}; remove that line and those after it "
                    "to go on from there."
                )
            # What may be None may be missing.
            self.actions.append({**dict.fromkeys(_FORMS[action["do"]]), **action})
        if len(whole) < len(text):
            os.truncate(self.path, len(whole))

    def next_id(self) -> int:
        """Return the id that the next action gets."""
        return len(self.actions) + 1

    def append(self, do: str, values: Mapping[str, Any]) -> Action:
        """Add an action, and wait until it is on the disk.

        Args:
            do: what is done.
            values: of JSON, which belong to it.

        Raises:
            UserError: if the file cannot be written.
        """
        action = {"id": self.next_id(), "do": do, **values}
        with write_errors(self.path), self.path.open("ab") as file:
            start = file.tell()
            try:
                file.write(json.dumps(action).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start)
                raise
        self.actions.append(action)
        return action
