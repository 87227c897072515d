"""The inputs of ``make fuzz`` that coverage guides: valid to begin with, and then a sentence."""

import importlib.util
from pathlib import Path

import pytest

from tests.hostile import coverage
from vps_d2.io.errors import UserError


@pytest.mark.parametrize("name", list(coverage.READERS))
def test_each_reader_begins_with_a_valid_file(name: str, tmp_path: Path) -> None:
    reader = coverage.READERS[name]
    read, path = reader.make(), tmp_path / reader.file
    path.write_bytes(reader.seed())
    read(path)
    path.write_bytes(b"\x93[\n")
    with pytest.raises(UserError):
        read(path)


def test_it_goes_without_where_there_is_no_wheel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert coverage.main([]) == 0
    assert "no coverage guidance" in capsys.readouterr().out
