"""``--import``: a user's own data sets, mappers, architectures and evaluators in every command.

What is imported registers itself, as the project's own parts do. It is named on the command line
alone: no configuration runs code.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vps_d2.io.errors import UserError


def add_import_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--import`` to a command; the names that it is given become the list ``imports``."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE_OR_MODULE",
        help="Python file or module that registers data sets, mappers, architectures or evaluators "
        "(repeatable)",
    )


def import_parts(names: Sequence[str]) -> None:
    """Import what ``--import`` names; what is imported already is not imported again.

    A file is imported under its own name, and its folder joins Python's path, so it may import
    files beside it, and worker processes find it again.

    Args:
        names: of Python files, which end with ``.py``, or of modules, which are also looked for in
            the working folder.

    Raises:
        UserError: if there is no such file or module, or Python knows another one of its name.
    """
    for name in names:
        if name.endswith(".py"):
            _import_file(Path(name))
        else:
            _add_to_path(Path.cwd())
            _import_module(name)


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"--import {path}: there is no such file; check its path.")
    _add_to_path(path.resolve().parent)
    if not _is_found(path.stem, path):
        raise UserError(
            f"--import {path}: Python does not find this file under the name {path.stem}; give it "
            "a name without dots that no other module has."
        )
    importlib.import_module(path.stem)


def _is_found(name: str, path: Path) -> bool:
    """Return whether Python takes a name for this file, and not for another module."""
    importlib.invalidate_caches()  # the file may be new
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # of a package that is not there, or the running program
        return False
    return spec is not None and spec.origin is not None and path.samefile(spec.origin)


def _import_module(name: str) -> None:
    problem = UserError(
        f"--import {name}: Python finds no module of this name; install it, or give the path of a "
        "file that ends with .py."
    )
    if not all(part.isidentifier() for part in name.split(".")):
        raise problem
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What the module itself imports in vain is its own affair.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise problem from error


def _add_to_path(folder: Path) -> None:
    # Last, so that nothing in the folder comes before an installed module.
    if os.fspath(folder) not in sys.path:
        sys.path.append(os.fspath(folder))
