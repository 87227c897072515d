"""``vps-d2``: its list of commands, their names, and what asking for help costs."""

import importlib
import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from vps_d2 import __version__
from vps_d2.cli.main import ALIASES, COMMANDS, main
from vps_d2.data.synthetic import SPLITS

SCRIPTS = sorted((ROOT / "tools").glob("*.py"))
# Of all that a command may need, what takes longest to import.
HEAVY = ("torch", "cv2", "mujoco", "numpy", "tqdm", "yaml", "imageio", "vps_d2.d2")
HELP = f"""
import json, sys
from vps_d2.cli.main import main
loaded = {{}}
for command in json.loads(sys.argv[1]):
    try:
        main([command, "--help"])
    except SystemExit as exit:
        assert exit.code == 0
    loaded[command] = [name for name in {HEAVY} if name in sys.modules]
print(json.dumps(loaded), file=sys.stderr)
"""


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    words = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == words
    for command in COMMANDS:
        assert f"\n  {command} " in words


def test_help_of_a_command_imports_nothing_heavy() -> None:
    command = [sys.executable, "-c", HELP, json.dumps(list(COMMANDS))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stderr) == {command: [] for command in COMMANDS}
    for command in COMMANDS:
        assert f"usage: vps-d2 {command} [-h]" in done.stdout


def test_every_command_is_a_module_that_says_what_it_does() -> None:
    for command in COMMANDS:
        module = importlib.import_module(f"vps_d2.cli.{command.replace('-', '_')}")
        assert module.__doc__ and callable(module.main)


def test_every_script_is_a_command_and_every_command_has_one() -> None:
    found = {}
    for path in SCRIPTS:
        name = path.stem.replace("_", "-")
        found[ALIASES.get(name, name)] = path
    assert set(found) == set(COMMANDS) and len(found) == len(SCRIPTS)
    for command, path in found.items():
        text = path.read_text(encoding="utf-8")
        assert f"from vps_d2.cli.{command.replace('-', '_')} import main\n" in text
        assert f"vps-d2 {command}`" in text


@pytest.mark.parametrize("name", ["infer_hidden", "infer-hidden", "predict"])
def test_the_name_of_the_script_works_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("usage: vps-d2 predict ")


def test_usage_names_the_script_that_was_run() -> None:
    command = [sys.executable, str(ROOT / "tools" / "infer_hidden.py"), "--shard", "x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and done.stderr.startswith("usage: infer_hidden.py ")


@pytest.mark.parametrize(
    ("name", "hint"), [("predcit", " (did you mean predict?)"), ("make_track", None), ("xyz", "")]
)
def test_an_unknown_command_suggests_the_nearest(
    name: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name]) == 2
    hint = " (did you mean make-tracks?)" if hint is None else hint
    words = f"error: {name} is not a command{hint}; vps-d2 --help lists them.\n"
    assert capsys.readouterr().err == words


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vps-d2 {__version__}\n"


def test_an_error_of_the_user_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-dataset", "absent"]) == 1
    assert capsys.readouterr().err.startswith("error: absent: not a folder")


def test_make_synthetic_knows_the_splits() -> None:
    assert importlib.import_module("vps_d2.cli.make_synthetic").SPLITS == SPLITS
