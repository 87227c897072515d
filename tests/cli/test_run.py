import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vps_d2.cli.run import run_tool
from vps_d2.io.errors import UserError


def stop(error):
    raise error


def test_an_error_of_the_user_is_its_sentence(capsys):
    assert run_tool(lambda: stop(UserError("no data here; give --input."))) == 1
    assert capsys.readouterr().err == "error: no data here; give --input.\n"


def test_a_request_to_end_is_followed_in_order(capsys):
    cleaned = []

    def main():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    assert run_tool(main) == 143 and cleaned
    assert capsys.readouterr().err == "terminated\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_interrupted(capsys):
    assert run_tool(lambda: stop(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (os.listdir, "none"),
        (os.listdir, "file"),
        (lambda path: os.mkdir(f"{path}/below"), "file/below"),
        (lambda path: os.replace(path, path.parent), ""),
    ],
)
def test_a_path_of_no_use_is_a_sentence(use, name, tmp_path, capsys):
    (tmp_path / "file").touch()
    path = tmp_path / (name.partition("/")[0] or "file")
    assert run_tool(lambda: use(path)) == 1
    words = capsys.readouterr().err
    assert words.startswith(f"error: {tmp_path / name} cannot be used (")
    assert words.count("\n") == 1 and words.endswith("or give another one.\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("the disk is on fire"), "the disk is on fire"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(), "OSError"),
    ],
)
def test_an_error_of_the_system_without_a_path_is_a_sentence(error, words, capsys):
    assert run_tool(lambda: stop(error)) == 1
    said = capsys.readouterr().err
    assert (
        said.startswith(f"error: the operating system reports: {words}; ") and said.count("\n") == 1
    )


@pytest.mark.parametrize("allocate", [np.empty, torch.empty, bytearray])
def test_too_little_memory_is_a_sentence(allocate, capsys):
    assert run_tool(lambda: allocate(10**17)) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: there is not enough memory; ") and said.count("\n") == 1


def test_other_errors_are_faults_of_the_program():
    with pytest.raises(RuntimeError, match="of ours"):
        run_tool(lambda: stop(RuntimeError("a fault of ours")))


def test_names_do_nothing_to_the_terminal(capsys):
    assert run_tool(lambda: stop(UserError("a\nerror: b\x1b[2J\u202e is missing."))) == 1
    assert capsys.readouterr().err == "error: a\\nerror: b\\x1b[2J\\u202e is missing.\n"
    assert run_tool(lambda: os.listdir(b"\x1b\xff")) == 1
    assert capsys.readouterr().err.startswith("error: \\x1b\\udcff cannot be used")


CODE = """
import os, sys
from vps_d2.cli.run import run_tool
def main():
    print("scores" * int(sys.argv[2]))
    print(sorted(os.listdir("/proc/self/fd"))[:3], file=open(sys.argv[1], "w"))
raise SystemExit(run_tool(main))
"""


def run_shell(tmp_path, redirection, length=1):
    """Run a tool that prints, and return its status and what it said."""
    command = f"{sys.executable} -c '{CODE}' {tmp_path / 'numbers'} {length} {redirection}"
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_output_is_a_sentence(tmp_path):
    status, said = run_shell(tmp_path, "> /dev/full")
    assert status == 1
    assert said == (
        "error: the output cannot be written (No space left on device); redirect it elsewhere.\n"
    )
    status, said = run_shell(tmp_path, "> /dev/full", 100000)
    assert (
        status == 1
        and said.count("\n") == 1
        and said.startswith("error: the operating system reports: ")
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system has no /proc")
def test_a_closed_output_gets_no_file(tmp_path):
    assert run_shell(tmp_path, "<&- >&- 2>&-")[0] == 0
    assert (tmp_path / "numbers").read_text() == "['0', '1', '2']\n"


def test_a_working_folder_that_is_gone_is_a_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run_tool(lambda: stop(AssertionError("nothing was to run"))) == 1
    assert capsys.readouterr().err.startswith("error: the working folder no longer exists; ")


def test_finished(capsys):
    assert run_tool(lambda: None) == 0
    assert capsys.readouterr().err == ""


def test_nobody_reads_the_output_any_more():
    code = (
        "from vps_d2.cli.run import run_tool\n"
        "raise SystemExit(run_tool(lambda: [print(i) for i in range(100000)]))"
    )
    command = f"{sys.executable} -c '{code}' | head -n 1"
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "0\n" and result.stderr == ""
