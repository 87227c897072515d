"""What the page sends, checked value by value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from vps_d2.data.strokes import Stroke
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls

__all__ = ["Fields", "StrokesRequest", "parse_json"]

MAX_NAME = 100
"""Characters of the name of an object."""

_MAX_INDEX = 2**31 - 1
_MAX_STROKES = 100
_MAX_POINTS = 20_000


def parse_json(body: bytes) -> "Fields":
    """Read an object of JSON; an empty body is one without fields.

    Raises:
        UserError: if it is no such object, or has numbers that are none.
    """

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number")

    try:
        value = json.loads(body.decode(), parse_constant=refuse) if body else {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"the request is not JSON ({error}); reload the page.") from error
    if not isinstance(value, dict):
        raise UserError("the request is no object of JSON; reload the page.")
    return Fields(value)


@dataclass(frozen=True)
class StrokesRequest:
    """Strokes in a frame.

    Args:
        frame: its index.
        number: of the object; None for a new one.
        strokes: at least one.
    """

    frame: int
    number: int | None
    strokes: list[Stroke]


class Fields:
    """The fields of a request.

    Args:
        values: by name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def index(self, name: str, default: int | None = None) -> int:
        """Return the index of a frame.

        Raises:
            UserError: if it is none.
        """
        value = self._values.get(name, default)
        if not _is_int(value, 0, _MAX_INDEX):
            raise UserError(f"{name} is not the index of a frame, counted from 0.")
        return int(value)  # type: ignore[arg-type]

    def end(self, name: str = "end") -> int | None:
        """Return the index after the last frame of a range; None for the end of the video."""
        return None if self._values.get(name) is None else self.index(name)

    def number(self, name: str = "object") -> int | None:
        """Return the number of an object, None if there is none."""
        value = self._values.get(name)
        if value is not None and not _is_int(value, 1, 255):
            raise UserError(f"{name} is not the number of an object, from 1 to 255.")
        return value

    def numbers(self, name: str = "objects") -> list[int] | None:
        """Return numbers of objects, None if there are none."""
        values = self._values.get(name)
        if values is None:
            return None
        fits = isinstance(values, list) and 0 < len(values) <= 255
        if not fits or not all(_is_int(value, 1, 255) for value in values):
            raise UserError(f"{name} is not a list of numbers of objects, from 1 to 255.")
        return sorted(set(values))

    def name(self) -> str:
        """Return the name of an object.

        Raises:
            UserError: if it is empty, too long, or has control characters.
        """
        value = self._values.get("name")
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
            raise UserError(f"the name of an object has 1 to {MAX_NAME} characters; change it.")
        if escape_controls(value) != value:
            raise UserError("the name of an object has characters that cannot be shown; change it.")
        return value.strip()

    def word(self, name: str, words: tuple[str, ...]) -> str:
        """Return one of some words.

        Raises:
            UserError: if it is none of them.
        """
        value = self._values.get(name)
        if value not in words:
            raise UserError(f"{name} is none of {', '.join(words)}.")
        return str(value)

    def strokes(self) -> StrokesRequest:
        """Return strokes, the frame in which they are, and their object.

        Raises:
            UserError: if any of it is wrong.
        """
        values = self._values.get("strokes")
        if not isinstance(values, list) or not 0 < len(values) <= _MAX_STROKES:
            raise UserError(f"a request has 1 to {_MAX_STROKES} strokes; draw fewer at a time.")
        strokes = [Stroke.from_json(value) for value in values]
        if sum(len(stroke.points) for stroke in strokes) > _MAX_POINTS:
            raise UserError(f"the strokes have more than {_MAX_POINTS:,} points; draw less.")
        return StrokesRequest(self.index("frame"), self.number(), strokes)


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
