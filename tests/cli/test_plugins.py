"""``--import``: what is registered from a file or module, and what is refused in a sentence."""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.errors import UserError

COMMANDS = ("train", "predict", "label", "generate", "visualize", "split_errors", "leaderboard")


@pytest.fixture(autouse=True)
def _clean_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def test_a_file_is_imported_once_and_may_use_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "plugin_helper.py").write_text("COUNT = []\n")
    path = tmp_path / "plugin_main.py"
    path.write_text("import plugin_helper\nplugin_helper.COUNT.append(1)\n")
    import_parts([str(path), str(path)])
    import_parts([str(path)])
    assert importlib.import_module("plugin_helper").COUNT == [1]
    assert sys.path[0] != str(tmp_path) and sys.path[-1] == str(tmp_path)


def test_a_module_is_looked_for_in_the_working_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_package").mkdir()
    (tmp_path / "plugin_package" / "__init__.py").touch()
    (tmp_path / "plugin_package" / "parts.py").touch()
    monkeypatch.chdir(tmp_path)
    import_parts(["plugin_package.parts"])
    assert "plugin_package.parts" in sys.modules


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.py", r"absent\.py: there is no such file"),
        ("json.py", r"json\.py: Python does not find this file under the name json; give"),
        ("plugin.with.dots.py", "under the name plugin.with.dots"),
        ("plugin_absent", "Python finds no module of this name"),
        ("json.plugin_absent", "Python finds no module of this name"),
        ("./plugin", "Python finds no module of this name"),
        ("", "Python finds no module of this name"),
    ],
)
def test_what_cannot_be_imported_is_a_sentence(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in ("json.py", "plugin.with.dots.py"):
        (tmp_path / made).touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words) as error:
        import_parts([name])
    assert "\n" not in str(error.value)


def test_errors_of_the_file_itself_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "plugin_broken.py"
    path.write_text("import plugin_that_is_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="plugin_that_is_not_installed"):
        import_parts([str(path)])


def test_the_option_repeats() -> None:
    parser = argparse.ArgumentParser()
    add_import_option(parser)
    assert parser.parse_args([]).imports == []
    assert parser.parse_args(["--import", "a.py", "--import", "b"]).imports == ["a.py", "b"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_a_config_has_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(f"vps_d2.cli.{command}").main(["--help"])
    assert "--import FILE_OR_MODULE" in capsys.readouterr().out
