"""A lock that one process holds at a time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import ROOT
from vps_d2.io.locks import lock_file

HOLD = """
import sys, time
from vps_d2.io.locks import lock_file
with lock_file(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that holds a lock, and return when it does."""
    command = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time(tmp_path: Path) -> None:
    with lock_file(tmp_path / "lock") as first:
        assert first
        with lock_file(tmp_path / "lock", wait=False) as second:
            assert not second
        with lock_file(tmp_path / "lock", wait=False) as third:  # the second let go of nothing
            assert not third
    with lock_file(tmp_path / "lock", wait=False) as fourth:
        assert fourth


def test_waiting_for_another_process(tmp_path: Path) -> None:
    process = hold(tmp_path / "lock", 0.5)
    start = time.monotonic()
    with lock_file(tmp_path / "lock") as held:
        assert held and time.monotonic() - start > 0.2
    assert process.wait() == 0


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    process = hold(tmp_path / "lock", 60)
    with lock_file(tmp_path / "lock", wait=False) as held:
        assert not held
    process.kill()
    process.wait()
    with lock_file(tmp_path / "lock", wait=False) as held:
        assert held


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), lock_file(tmp_path / "lock"):
        raise RuntimeError("inside")
    with lock_file(tmp_path / "lock", wait=False) as held:
        assert held


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock_file(tmp_path / "absent" / "lock"):
        pass
