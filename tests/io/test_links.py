"""Links, where the system has them, and copies where it has none."""

import os
from pathlib import Path

import pytest

from vps_d2.io.links import link_file


def refuse(*_: object) -> None:
    raise OSError("A required privilege is not held by the client")


@pytest.mark.parametrize("missing", [(), ("symlink",), ("symlink", "link")])
def test_whatever_there_is(
    missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.chdir(tmp_path)
    Path("target").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    link_file("folder/name", "target")  # seen from the working folder, not from the link's
    assert (tmp_path / "folder" / "name").read_bytes() == b"content"
    assert (tmp_path / "folder" / "name").is_symlink() == (not missing)
    assert Path("target").stat().st_nlink == (2 if missing == ("symlink",) else 1)


def test_nothing_is_replaced_or_left_dangling(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"content")
    (tmp_path / "taken").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        link_file(tmp_path / "taken", tmp_path / "target")
    assert (tmp_path / "taken").read_bytes() == b"other"
    with pytest.raises(FileNotFoundError):
        link_file(tmp_path / "name", tmp_path / "absent")
    assert not (tmp_path / "name").is_symlink()
