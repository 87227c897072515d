"""Files that are written whole, and the check before long work."""

import json
from pathlib import Path

import pytest

from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_json


def test_the_folder_of_an_output_is_made(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "folder" / "scores.json")
    assert (tmp_path / "new" / "folder").is_dir()
    assert not any((tmp_path / "new" / "folder").iterdir())


def test_an_output_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="is a folder; give the name of a file"):
        check_output(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(UserError, match="cannot be made"):
            check_output(path)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match="may not be written to"):
        check_output(tmp_path / "a")


def test_json_is_written_or_the_path_named(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"jaccard": 0.5})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"jaccard": 0.5}
    with pytest.raises(UserError, match=r"absent/scores\.json cannot be written"):
        write_json(tmp_path / "absent" / "scores.json", {})
