"""The log of a session's actions: a line of JSON each, on the disk before it is answered."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, write_errors

__all__ = ["Action", "ActionLog"]

Action = dict[str, Any]
"""What was done: ``id``, counted from 1, ``do``, and what belongs to it."""


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
            except ValueError:
                action = None
            if not isinstance(action, dict) or action.get("id") != number or "do" not in action:
                raise UserError(
                    f"{self.path} is damaged in line {number}; remove that line and those after it "
                    "to go on from there."
                )
            self.actions.append(action)
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
