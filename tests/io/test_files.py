"""Files that are written whole, and the check before long work."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch

from tests.helpers import file_size_limit, small_disk
from vps_d2.io.arrays import write_array
from vps_d2.io.errors import UserError
from vps_d2.io.files import (
    check_output,
    open_regular,
    remove_leftovers,
    write_errors,
    write_folder,
    write_json,
    write_text,
    write_whole,
)
from vps_d2.io.pictures import write_gif, write_mp4, write_png

NOISE = np.random.default_rng(0).integers(0, 255, (12, 64, 96, 3), np.uint8)


def test_the_folder_of_an_output_is_made(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "folder" / "scores.json")
    assert (tmp_path / "new" / "folder").is_dir()
    assert not any((tmp_path / "new" / "folder").iterdir())


def test_an_output_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="is a folder; give the path of a file"):
        check_output(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(UserError, match="cannot be made"):
            check_output(path)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match="is not writable"):
        check_output(tmp_path / "a")


def test_json_is_written_or_the_path_named(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"jaccard": 0.5})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"jaccard": 0.5}
    with pytest.raises(UserError, match=r"absent/scores\.json cannot be written"):
        write_json(tmp_path / "absent" / "scores.json", {})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save_checkpoint(path: Path) -> None:
    with write_whole(path) as file:
        torch.save({"model": {"a": torch.rand(200, 200), "b": torch.rand(200, 200)}}, file)


def fill_folder(path: Path) -> None:
    with write_folder(path) as folder:
        (folder / "a").write_bytes(NOISE.tobytes())


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "x" * 200_000),
    "json": lambda path: write_json(path, ["x" * 200_000]),
    "array": lambda path: write_array(path, NOISE),
    "checkpoint": save_checkpoint,
    "png": lambda path: write_png(path, NOISE.reshape(-1, 96, 3)),
    "gif": lambda path: write_gif(path, NOISE),
    "mp4": lambda path: write_mp4(path, np.concatenate([NOISE] * 4)),
    "folder": fill_folder,
}


@pytest.mark.parametrize("writer", list(WRITERS))
def test_a_limit_is_a_sentence_and_the_old_file_stays(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "result"
    WRITERS[writer](path)
    before = path.stat()
    with (
        file_size_limit(50_000),
        pytest.raises(UserError, match=r"result cannot be written \(file too large\); raise") as e,
    ):
        WRITERS[writer](path)
    assert "\n" not in str(e.value)
    assert path.stat() == before and names(tmp_path) == ["result"]


def test_a_full_disk_is_a_sentence_and_has_its_room_again(tmp_path: Path) -> None:
    with small_disk(65_536, tmp_path):
        for writer, write in WRITERS.items():
            with pytest.raises(
                UserError,
                match=rf"{writer} cannot be written \(no space left on device\); free some disk",
            ):
                write(tmp_path / writer)
            assert names(tmp_path) == []
        write_text(tmp_path / "text", "x" * 40_000)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_is_left_of_what_was_interrupted(error: type, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(error), write_whole(tmp_path / "file") as file:
        file.write(b"half")
        raise error
    with pytest.raises(error), write_folder(tmp_path / "folder") as folder:
        (folder / "new").touch()
        raise error
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == ["old"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with write_folder(tmp_path / "new" / "folder") as folder:
            (folder / name).touch()
    assert names(tmp_path / "new" / "folder") == ["two"] and names(tmp_path / "new") == ["folder"]


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_replaces_no_file_and_no_link(link: bool, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    if link:
        (tmp_path / "folder").symlink_to(tmp_path / "other")
    else:
        (tmp_path / "folder").touch()
    with (
        pytest.raises(UserError, match="folder is a file or a link"),
        write_folder(tmp_path / "folder"),
    ):
        pass
    assert names(tmp_path) == ["folder", "other"] and names(tmp_path / "other") == []


def make_special(kind: str, path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nothing")


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and sockets are of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "lost link"])
def test_only_files_are_written_and_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    make_special(kind, Path("x.json"))
    mode = Path("x.json").lstat().st_mode
    words = "a folder" if kind == "folder" else "a device, a pipe or a socket|a link to nothing"
    for use in (lambda: write_json("x.json", 1), lambda: check_output("x.json")):
        with pytest.raises(UserError, match=rf"^x\.json is ({words}); "):
            use()
    with pytest.raises(OSError, match=r"not a regular file|Is a directory|No such file"):
        open_regular("x.json")
    assert Path("x.json").lstat().st_mode == mode and names(tmp_path) == ["x.json"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "scores.json").write_text("old")
    (tmp_path / "link").symlink_to("far/scores.json")
    write_json(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "far") == ["scores.json"]
    assert (tmp_path / "far" / "scores.json").read_text() == "1\n"


def test_links_with_names_of_unfinished_files_are_not_followed(tmp_path: Path) -> None:
    """Names that earlier versions took, and one that could be guessed."""
    (tmp_path / "victim").write_text("safe")
    for name in ("x.json.tmp", ".x.json.partial", ".vps_d2-x.json-0.tmp"):
        (tmp_path / name).symlink_to("victim")
    write_json(tmp_path / "x.json", 1)
    remove_leftovers(tmp_path)
    assert (tmp_path / "victim").read_text() == "safe"
    assert names(tmp_path) == [".x.json.partial", "victim", "x.json", "x.json.tmp"]


def test_no_input_is_replaced(tmp_path: Path) -> None:
    video = tmp_path / "val" / "video_1"
    video.mkdir(parents=True)
    truth, mask = tmp_path / "truth.npy", video / "mask.npy"
    for path in (truth, mask):
        path.write_text("data")
    (tmp_path / "link").symlink_to("truth.npy")
    os.link(truth, tmp_path / "twin")
    inputs = (truth, tmp_path / "val", tmp_path / "absent")
    for path in (truth, tmp_path / "link", tmp_path / "twin", video / ".." / "video_1" / mask.name):
        for write in (check_output, lambda path, inputs: write_json(path, 1, inputs)):
            with pytest.raises(UserError, match=r"is (an input|inside .*, which is an input)"):
                write(path, inputs)
    assert truth.read_text() == mask.read_text() == "data"
    write_json(tmp_path / "scores.json", 1, inputs)
    write_json(video / "scores.json", 1, inputs)  # it takes no other's place


@pytest.mark.skipif(os.name == "nt", reason="permissions are of POSIX")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "")
        with write_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder")]
    assert modes == [0o640, 0o750]


def test_long_names_and_names_in_all_scripts(tmp_path: Path) -> None:
    for name in ("x" * 250, "видео" * 20, "🎞" * 50):
        write_text(tmp_path / name, name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert len(names(tmp_path)) == 3


KILLED = """
import os, sys, time
from vps_d2.io.files import write_whole
with write_whole(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print(flush=True)
    time.sleep(60)
"""


def test_leftovers_of_the_killed_are_removed_and_nothing_that_is_written(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a")], stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (tmp_path / ".vps_d2-folder-0.tmp").mkdir()
        unfinished = [name for name in names(tmp_path) if name.startswith(".vps_d2-a-")]
        remove_leftovers(tmp_path)
        assert names(tmp_path) == unfinished and len(unfinished) == 1
        writer.kill()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []
    remove_leftovers(tmp_path / "absent")


def test_errors_of_other_files_keep_their_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), write_errors(tmp_path / "x"):
        (tmp_path / "other").read_text()
    with pytest.raises(FileNotFoundError, match="other"), write_whole(tmp_path / "x") as file:
        file.write((tmp_path / "other").read_bytes())
    assert names(tmp_path) == []


def test_the_name_of_an_unfinished_file_is_for_writers_of_paths(tmp_path: Path) -> None:
    def write(file: IO[bytes]) -> None:
        Path(file.name).write_bytes(b"by path")

    with write_whole(tmp_path / "x") as file:
        write(file)
    assert (tmp_path / "x").read_bytes() == b"by path"
