import subprocess
import sys

from tests.helpers import ROOT
from vps_d2.errors import UserError, run_tool


def stop(error):
    raise error


def test_an_error_of_the_user_is_its_sentence(capsys):
    assert run_tool(lambda: stop(UserError("no data here; give --input."))) == 1
    assert capsys.readouterr().err == "error: no data here; give --input.\n"


def test_interrupted(capsys):
    assert run_tool(lambda: stop(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_finished(capsys):
    assert run_tool(lambda: None) == 0
    assert capsys.readouterr().err == ""


def test_nobody_reads_the_output_any_more():
    code = (
        "from vps_d2.errors import run_tool\n"
        "raise SystemExit(run_tool(lambda: [print(i) for i in range(100000)]))"
    )
    command = f"{sys.executable} -c '{code}' | head -n 1"
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "0\n" and result.stderr == ""
