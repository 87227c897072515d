import ast
import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import vps_d2.d2
from tests.helpers import ROOT
from vps_d2.d2 import ENGINE, _choose_engine
from vps_d2.io.errors import UserError

DOOR = [
    module.name
    for module in pkgutil.walk_packages(vps_d2.d2.__path__, "vps_d2.d2.")
    if not module.name.startswith("vps_d2.d2.embedded")
]


def _imports(path: Path) -> set[str]:
    """Return the modules that a file imports, also by import_module("...")."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def _top_names(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


def _sources() -> list[Path]:
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    return [
        source
        for top in tops
        if top.name not in ("build", "output")
        for source in ([top] if top.suffix == ".py" else sorted(top.rglob("*.py")))
    ]


def test_only_the_door_imports_detectron2() -> None:
    # The conformance suite compares the engines, so it may.
    allowed = (ROOT / "vps_d2" / "d2", ROOT / "tests" / "d2")
    sources = _sources()
    assert ROOT / "vps_d2" / "config" / "defaults.py" in sources
    guilty = [
        str(source.relative_to(ROOT))
        for source in sources
        if not any(source.is_relative_to(folder) for folder in allowed)
        and "detectron2" in _top_names(_imports(source))
    ]
    assert not guilty


def test_embedded_engine_never_imports_detectron2() -> None:
    sources = sorted((ROOT / "vps_d2" / "d2" / "embedded").rglob("*.py"))
    assert sources
    assert not [s for s in sources if "detectron2" in _top_names(_imports(s))]


def test_nothing_outside_the_door_imports_the_embedded_engine() -> None:
    guilty = [
        str(source.relative_to(ROOT))
        for source in _sources()
        if not source.is_relative_to(ROOT / "vps_d2" / "d2")
        and any(name.startswith("vps_d2.d2.embedded") for name in _imports(source))
    ]
    # Tests of what only the embedded engine promises.
    assert not [name for name in guilty if not name.startswith("tests/d2/")]


def test_scan_sees_every_form_of_import(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "import a.b as c\nfrom d.e import f\n\ndef g():\n    importlib.import_module('h.i')\n"
    )
    assert _top_names(_imports(source)) == {"a", "d", "h"}


def test_door_has_the_modules_that_users_know() -> None:
    expected = (
        "config data data.detection_utils data.samplers data.transforms structures utils "
        "utils.comm utils.env utils.file_io utils.logger utils.registry"
    )
    assert {f"vps_d2.d2.{name}" for name in expected.split()} <= set(DOOR)


@pytest.mark.parametrize("name", DOOR)
def test_every_name_of_the_door_is_there_and_comes_from_the_engine(name: str) -> None:
    door = importlib.import_module(name)
    engine = "detectron2" if ENGINE == "detectron2" else "vps_d2.d2.embedded"
    source = importlib.import_module(name.replace("vps_d2.d2", engine, 1))
    # The package of the utilities holds modules only.
    assert hasattr(door, "__all__") or name == "vps_d2.d2.utils"
    for exported in getattr(door, "__all__", ()):
        member = getattr(door, exported)
        # A door may list its own submodule, as in "from vps_d2.d2.engine import hooks".
        assert isinstance(member, ModuleType) or member is getattr(source, exported)


def test_engine_is_one_of_the_two() -> None:
    assert ENGINE in ("detectron2", "embedded")
    assert _choose_engine("embedded") == "embedded"


def test_a_tool_names_an_unknown_engine_in_a_sentence() -> None:
    command = [sys.executable, str(ROOT / "tools" / "evaluate.py"), "--help"]
    environment = {**os.environ, "VPS_D2_ENGINE": "mmdet"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: VPS_D2_ENGINE=mmdet names no engine")
    assert "Traceback" not in result.stderr


def test_unknown_engine_is_named() -> None:
    with pytest.raises(UserError, match=r"VPS_D2_ENGINE=mmdet .* detectron2, embedded"):
        _choose_engine("mmdet")


def _pretend(monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_missing_detectron2_is_named_when_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, None)
    assert _choose_engine("") == "embedded"
    with pytest.raises(UserError, match="asks for Detectron2, which is not installed"):
        _choose_engine("detectron2")


def test_folder_called_detectron2_is_not_detectron2(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = importlib.machinery.ModuleSpec("detectron2", None)
    _pretend(monkeypatch, namespace)
    assert _choose_engine("") == "embedded"


def test_broken_detectron2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("detectron2", None, origin="detectron2/__init__.py")
    _pretend(monkeypatch, spec)

    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'omegaconf'", name="omegaconf")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(UserError, match=r"omegaconf.*VPS_D2_ENGINE=embedded"):
        _choose_engine("")
