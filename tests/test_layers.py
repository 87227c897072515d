"""Data flows one way: no room imports one that stands above it."""

import ast
from pathlib import Path

import pytest

import vps_d2

ROOT = Path(vps_d2.__file__).parent
# From the lowest; rooms of one row do not import each other.
LAYERS = (
    ("io",),
    ("d2",),
    ("config",),
    ("data",),
    ("visualization",),
    ("modeling",),
    ("engine", "inference"),
    ("evaluation",),
    ("web", "cluster"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(ROOT.glob("*/**/*.py"))


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a module imports anywhere in it, by the names of its imports."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            names = [node.module or ""]
            if node.module == "vps_d2":
                names = [f"vps_d2.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("vps_d2.")}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_higher_room(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    if room == "weights":
        return
    for other in imported_rooms(path) & set(LEVEL):
        assert other == room or LEVEL[other] < LEVEL[room], f"{path} imports vps_d2.{other}"


def test_every_module_is_in_a_room() -> None:
    """Only the door and the command-line entry lie loose in the package."""
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}
    rooms = {path.relative_to(ROOT).parts[0] for path in MODULES}
    assert rooms <= set(LEVEL)
