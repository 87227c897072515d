"""The public names of the package, imported when they are used."""

import importlib
import json
import subprocess
import sys

import pytest

import vps_d2
from tests.helpers import ROOT

IMPORT = """
import json, sys
import vps_d2
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in
                  ("torch", "numpy", "cv2", "mujoco", "yaml")]))
"""


def test_the_package_imports_nothing_until_a_name_is_used() -> None:
    command = [sys.executable, "-c", IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", vps_d2.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(vps_d2, name)
    assert value.__name__ == name and value.__doc__
    assert value.__module__.startswith("vps_d2.") and name in dir(vps_d2)


def test_the_trainer_comes_with_the_evaluators(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = []
    find = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda n: imported.append(n) or find(n))
    assert vps_d2.Trainer and imported == ["vps_d2.evaluation", "vps_d2.engine.trainer"]


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'FutureMask'"):
        vps_d2.FutureMask  # noqa: B018
