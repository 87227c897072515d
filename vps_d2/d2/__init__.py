"""The one door to Detectron2: its names, from Detectron2 itself or from the embedded engine.

Each module below re-exports the names that this project uses under the paths that Detectron2's
users know. They are Detectron2's own if it can be imported; otherwise they come from
:mod:`vps_d2.d2.embedded`, a small implementation of just these names. The environment variable
``VPS_D2_ENGINE`` (``detectron2`` or ``embedded``) forces one.
"""

import importlib
import importlib.util
import os

from vps_d2.d2.embedded.errors import set_error_class
from vps_d2.io.errors import UserError

__all__ = ["ENGINE"]

_VARIABLE = "VPS_D2_ENGINE"
_CHOICES = ("detectron2", "embedded")


def _detectron2_is_present() -> bool:
    # A namespace package is not Detectron2: a bare clone in the working folder looks like one to
    # Python, because the repository and the package inside it have the same name.
    spec = importlib.util.find_spec("detectron2")
    return spec is not None and spec.origin is not None


def _choose_engine(forced: str) -> str:
    """Return the engine's name.

    Args:
        forced: value of the environment variable, or "" for Detectron2 if it is installed.

    Raises:
        UserError: if the value is unknown, or Detectron2 is wanted but cannot be imported.
    """
    if forced and forced not in _CHOICES:
        raise UserError(
            f"{_VARIABLE} must be one of {', '.join(_CHOICES)}, not {forced}; set it to one of "
            "these, or unset it."
        )
    if forced == "embedded" or (not forced and not _detectron2_is_present()):
        return "embedded"
    if not _detectron2_is_present():
        raise UserError(
            f"{_VARIABLE}=detectron2 asks for Detectron2, which is not installed; put it on "
            f"PYTHONPATH, or unset {_VARIABLE} to run on the embedded engine."
        )
    try:
        importlib.import_module("detectron2.config")
    except ImportError as error:
        raise UserError(
            f"Detectron2 is installed but cannot be imported ({error}); install what it needs, "
            f"or set {_VARIABLE}=embedded to run without it."
        ) from error
    return "detectron2"


try:
    ENGINE: str = _choose_engine(os.environ.get(_VARIABLE, ""))
    """Name of the engine in use: "detectron2" or "embedded"."""
except UserError as error:
    # Nothing works without an engine, and no command has started yet that could show the error.
    raise SystemExit(f"error: {error}") from None

# The embedded engine imports nothing from the project, so it is given the class of user errors.
set_error_class(UserError)
