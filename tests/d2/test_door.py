import ast
import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import subprocess
import sys
from functools import cache
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
EMBEDDED = sorted((ROOT / "vps_d2" / "d2" / "embedded").rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _imports(path: Path) -> set[str]:
    """Return the modules that a file imports, also by import_module("...")."""
    found = set()
    for node in ast.walk(_tree(path)):
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
    assert ROOT / "vps_d2" / "__init__.py" in sources
    guilty = [
        str(source.relative_to(ROOT))
        for source in sources
        if not any(source.is_relative_to(folder) for folder in allowed)
        and "detectron2" in _top_names(_imports(source))
    ]
    assert not guilty


def test_embedded_engine_never_imports_detectron2() -> None:
    assert EMBEDDED
    assert not [s for s in EMBEDDED if "detectron2" in _top_names(_imports(s))]


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


def _offered() -> set[str]:
    """Return the names of the door with their modules, such as "vps_d2.d2.config.CfgNode"."""
    return {
        f"{module}.{name}"
        for module in DOOR
        for name in getattr(importlib.import_module(module), "__all__", ())
    }


def _used_of_the_door(tree: ast.Module) -> set[str]:
    """Return the names that a module takes from the door, by whichever form of import."""
    known_as: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known_as |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
            known_as |= names
            found |= set(names.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            # Of a module, as in T.RandomFlip: put the module instead of its alias.
            owner, _, name = ast.unparse(node).rpartition(".")
            if owner in known_as:
                found.add(f"{known_as[owner]}.{name}")
    return {name for name in found if name.startswith("vps_d2.d2")}


@pytest.mark.parametrize(
    "source",
    [
        "from vps_d2.d2.data.transforms import RandomFlip",
        "from vps_d2.d2.data.transforms import RandomFlip as Flip",
        "from vps_d2.d2.data import transforms as T\n\ndef f():\n    return T.RandomFlip()",
        "import vps_d2.d2.data.transforms as T\nflip: T.RandomFlip",
        "import vps_d2.d2.data.transforms\nvps_d2.d2.data.transforms.RandomFlip()",
    ],
)
def test_scan_sees_every_form_of_use(source: str) -> None:
    used = _used_of_the_door(ast.parse(source))
    assert "vps_d2.d2.data.transforms.RandomFlip" in used
    assert "vps_d2.d2.data.transforms.NoOpTransform" not in used


def test_every_name_of_the_door_is_used_by_the_project() -> None:
    package, door = ROOT / "vps_d2", ROOT / "vps_d2" / "d2"
    sources = [
        *(path for path in sorted(package.rglob("*.py")) if not path.is_relative_to(door)),
        *sorted((ROOT / "tools").glob("*.py")),
    ]
    used = set().union(*(_used_of_the_door(_tree(path)) for path in sources))
    offered = _offered()
    assert len(offered) > 40 and "vps_d2.d2.config.get_cfg" in offered
    assert not offered - used, "take them out of the door"


def test_embedded_engine_imports_nothing_of_the_project_around_it() -> None:
    guilty = {
        f"{source.name}: {name}"
        for source in EMBEDDED
        for name in _imports(source)
        if name.startswith(("vps_d2", ".")) and not name.startswith("vps_d2.d2.embedded")
    }
    relative = [
        source.name
        for source in EMBEDDED
        for node in ast.walk(_tree(source))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert EMBEDDED and not guilty and not relative


# What the libraries below call, by names of their own.
CALLED_BY_LIBRARIES = {
    *("_open_cfg", "path_manager", "apply_coords"),  # fvcore
    *("_get_local_path", "_get_supported_prefixes", "_open"),  # iopath
    *("formatMessage", "stream"),  # logging
    "get_lr",  # torch.optim
}


def _definitions(tree: ast.Module) -> set[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    return {name for name in names if not name.startswith("__")}


def _mentions(tree: ast.Module) -> set[str]:
    """Return the names that a module reads; the lists of what it offers do not count."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def test_the_embedded_engine_defines_nothing_that_nobody_mentions() -> None:
    sources = [*(ROOT / "vps_d2").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    mentioned = set().union(*(_mentions(_tree(path)) for path in sources))
    defined = set().union(*(_definitions(_tree(path)) for path in EMBEDDED))
    offered = {name.rpartition(".")[2] for name in _offered()}
    registered = {"GeneralizedRCNN"}  # configurations name it
    assert len(defined) > 150
    assert not defined - mentioned - offered - registered - CALLED_BY_LIBRARIES


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
    tool = str(ROOT / "tools" / "train_net.py")
    command = [sys.executable, tool, "--config-file", "absent.yaml"]
    environment = {**os.environ, "VPS_D2_ENGINE": "mmdet"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(
        "error: VPS_D2_ENGINE must be one of detectron2, embedded, not mmdet"
    )
    assert "Traceback" not in result.stderr


def test_unknown_engine_is_named() -> None:
    with pytest.raises(
        UserError, match=r"VPS_D2_ENGINE must be one of detectron2, embedded, not mmdet"
    ):
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


def test_the_embedded_engine_imports_torchvision_when_boxes_are_cut_alone() -> None:
    # It takes a second, which commands without Mask R-CNN need not wait for.
    code = (
        "import sys\n"
        "from vps_d2.d2 import data, engine, evaluation, modeling, structures\n"
        "from vps_d2.d2.modeling import poolers\n"
        "raise SystemExit('torchvision' in sys.modules or 'torch._dynamo' in sys.modules)"
    )
    environment = {**os.environ, "VPS_D2_ENGINE": "embedded"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
