"""What the page may send, value by value."""

import json
from typing import Any

import pytest

from vps_d2.io.errors import UserError
from vps_d2.web.requests import parse_json

POINT = [[1, 2]]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"3",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=range(8),
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(UserError, match="the request is"):
        parse_json(body)


def test_no_body_is_an_object_without_fields() -> None:
    assert parse_json(b"").index("start", 0) == 0


@pytest.mark.parametrize("value", [-1, 1.0, 2**31, 1e308, "3", True, None, [1]])
def test_an_index_is_one(value: Any) -> None:
    fields = parse_json(json.dumps({"start": value, "frame": value}).encode())
    with pytest.raises(UserError, match="frame is not the index of a frame"):
        fields.index("frame")


@pytest.mark.parametrize("value", [[], [0], [256], ["1"], 1, [1] * 256, {"1": 1}])
def test_numbers_are_those_of_objects(value: Any) -> None:
    with pytest.raises(UserError, match="objects is not a list"):
        parse_json(json.dumps({"objects": value}).encode()).numbers()


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 101, "a\nb", "\x1b[31m", "\u202eevil", "\ud800", 3, None]
)
def test_a_name_is_short_and_can_be_shown(name: Any) -> None:
    with pytest.raises(UserError, match="name of an object has"):
        parse_json(json.dumps({"name": name}).encode()).name()


def test_a_name_may_have_any_letters() -> None:
    name = "<b>“Hündchen” & 猫</b>"
    assert parse_json(json.dumps({"name": f" {name} "}).encode()).name() == name


@pytest.mark.parametrize(
    "strokes",
    [
        [],
        {},
        [3],
        [{"points": POINT}] * 101,
        [{"points": POINT * 5001}] * 4,
        [{"points": []}],
        [{"points": [[1]]}],
        [{"points": [[1, "2"]]}],
        [{"points": [[1e308, 2]]}],
        [{"points": POINT, "radius": 0}],
        [{"points": POINT, "radius": 1e308}],
        [{"points": POINT, "positive": 1}],
        [{"points": POINT, "tool": "hammer"}],
    ],
)
def test_strokes_are_sound_and_not_too_many(strokes: Any) -> None:
    with pytest.raises(UserError):
        parse_json(json.dumps({"frame": 0, "strokes": strokes}).encode()).strokes()


def test_a_number_beyond_all_is_refused_in_a_stroke() -> None:
    body = b'{"frame": 0, "strokes": [{"points": [[1e999, 2]]}]}'
    with pytest.raises(UserError, match="not a pair of numbers"):
        parse_json(body).strokes()
