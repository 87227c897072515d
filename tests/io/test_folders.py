"""Folders that one run at a time writes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import portalocker
import pytest

from tests.helpers import ROOT
from vps_d2.io.errors import UserError
from vps_d2.io.folders import check_apart, claim_folder

HOLD = """
import os, sys, time
from vps_d2.io.folders import check_apart, claim_folder
with claim_folder(sys.argv[1]):
    if sys.argv[2] == "fork" and os.fork() == 0:
        print("child", flush=True)
        time.sleep(5)
        os._exit(0)
    print("parent", flush=True)
    time.sleep(60)
"""

CLAIM_OFTEN = """
import sys
from pathlib import Path
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder
folder, won = Path(sys.argv[1]), 0
for _ in range(300):
    try:
        with claim_folder(folder):
            (folder / "inside").touch(exist_ok=False)
            (folder / "inside").unlink()
            won += 1
    except UserError:
        pass
print(won)
"""


def hold(folder: Path, how: str = "") -> "subprocess.Popen[str]":
    """Start a process that holds a folder until it is killed."""
    command = [sys.executable, "-c", HOLD, str(folder), how]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(2 if how == "fork" else 1):  # until each of them has begun
        assert process.stdout.readline()
    return process


def test_a_second_claim_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with claim_folder(tmp_path / "new" / "out") as out:
        (out / "result").touch()
        before = sorted(out.iterdir())
        with (
            pytest.raises(UserError, match="out is being written by another run; wait"),
            claim_folder(out),
        ):
            pass
        assert sorted(out.iterdir()) == before
    with claim_folder(out):
        pass
    assert [path.name for path in out.iterdir()] == ["result"]


def test_parts_are_claimed_beside_each_other(tmp_path: Path) -> None:
    with (
        claim_folder(tmp_path, "shard_0_of_2"),
        claim_folder(tmp_path, "shard_1_of_2"),
        pytest.raises(UserError, match=r"\(shard 1 of 2\) is being written by another run"),
        claim_folder(tmp_path, "shard_1_of_2"),
    ):
        pass
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="processes are killed and forked as POSIX does it")
@pytest.mark.parametrize("how", ["", "fork"])
def test_the_killed_hold_nothing(how: str, tmp_path: Path) -> None:
    """Also not where a child, such as a worker of a loader, lives on for a while."""
    with hold(tmp_path, how) as process:
        with pytest.raises(UserError, match="another run"), claim_folder(tmp_path):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert any(tmp_path.iterdir())  # the file of the lock
        with claim_folder(tmp_path):
            pass
        assert not any(tmp_path.iterdir())


def test_a_whole_claim_removes_what_killed_runs_left(tmp_path: Path) -> None:
    for name in ("", "train", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / ".vps_d2-x-0.tmp").touch()
    with claim_folder(tmp_path, "shard_0_of_2"):
        assert len(list(tmp_path.rglob(".vps_d2-x*"))) == 3
    with claim_folder(tmp_path, parts=["train", "absent"]):
        assert list(tmp_path.rglob(".vps_d2-x*")) == [tmp_path / "other" / ".vps_d2-x-0.tmp"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UserError, match="cannot be written"), claim_folder(path):
            pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_no_link_or_pipe_is_taken_for_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".vps_d2.lock"
    os.mkfifo(lock)
    with pytest.raises(UserError, match="lock is not a file; remove it"), claim_folder(tmp_path):
        pass
    lock.unlink()
    lock.symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="cannot be written"), claim_folder(tmp_path):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_disk_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise portalocker.LockException(None, "Operation not supported")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with claim_folder(tmp_path):
        assert "cannot be locked (Operation not supported); make sure" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="threads of one process share a lock there")
def test_never_two_at_a_time(tmp_path: Path) -> None:
    """Also when the file of the lock comes and goes."""
    command = [sys.executable, "-c", CLAIM_OFTEN, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    won = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4 and sum(won) > 0


def test_results_do_not_go_into_what_they_are_made_from(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (tmp_path / "link").symlink_to("videos")
    for output in ("videos", "videos/new/out", "link/out", "videos/../link"):
        with pytest.raises(
            UserError, match=r"is inside the folder of the input videos, .*videos; choose"
        ):
            check_apart(tmp_path / output, videos)
    check_apart(tmp_path, videos)
    check_apart(tmp_path / "videos_2", videos)
