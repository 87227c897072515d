"""The parts of an engine that the door does not offer, but that all which it offers stands on."""

import importlib
from types import ModuleType

from vps_d2.d2 import ENGINE


def engine_module(path: str) -> ModuleType:
    """Import a module of the engine in use by its path, such as "engine.hooks"."""
    root = "detectron2" if ENGINE == "detectron2" else "vps_d2.d2.embedded"
    return importlib.import_module(f"{root}.{path}")
