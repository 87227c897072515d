"""The conformance suite: what the project relies on must hold on whichever engine is in use.

``VPS_D2_ENGINE`` chooses the engine. Where both can be imported, the fixture ``twins`` also lets
a test compare them.
"""

import importlib
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from vps_d2.d2 import ENGINE


def pytest_terminal_summary(terminalreporter: Any) -> None:
    # The summary, because -q leaves out the header.
    terminalreporter.write_line(f"conformance suite ran on the engine: {ENGINE}")


@pytest.fixture
def twins() -> Callable[[str], tuple[ModuleType, ModuleType]]:
    """From a path such as "structures" to Detectron2's module and the embedded one."""
    if importlib.util.find_spec("detectron2") is None:
        pytest.skip("Detectron2 cannot be imported, so there is nothing to compare with")

    def load(path: str) -> tuple[ModuleType, ModuleType]:
        return (
            importlib.import_module(f"detectron2.{path}"),
            importlib.import_module(f"vps_d2.d2.embedded.{path}"),
        )

    return load
