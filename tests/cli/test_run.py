import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from vps_d2.cli.run import run_tool
from vps_d2.io.errors import UserError


def stop(error):
    raise error


def test_an_error_of_the_user_is_its_sentence(capsys):
    assert run_tool(lambda: stop(UserError("no data here; give --input."))) == 1
    assert capsys.readouterr().err == "error: no data here; give --input.\n"


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
    assert words.count("\n") == 1 and words.endswith("or give another.\n")


def test_an_error_of_the_system_without_a_path_is_shown_whole():
    with pytest.raises(OSError, match="disk"):
        run_tool(lambda: stop(OSError("the disk is on fire")))


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
