"""``--import``: a user's own data sets, mappers, architectures and evaluators in every command.

The imported code registers its parts, as the project's own modules do. Only the command line can
name it: no configuration runs code.
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
    """Add ``--import`` to a command; its values become the list ``imports``."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE_OR_MODULE",
        help="Python file or module to import first, which registers your data sets, mappers, "
        "architectures or evaluators (repeatable)",
    )


def import_parts(names: Sequence[str]) -> None:
    """Import what ``--import`` names, unless it is imported already.

    A file is imported under its own name, and its folder is added to Python's path, so it can
    import files beside it, and worker processes find it too.

    Args:
        names: Python files, which end with ``.py``, or modules, which are also looked for in the
            working folder.

    Raises:
        UserError: if there is no such file or module, or another module has its name.
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
    """Return whether Python finds this file, and not another module, under a name."""
    importlib.invalidate_caches()  # the file may be new
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # no such package, or the name of the running program
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
        # The module exists, but something that it imports does not.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise problem from error


def _add_to_path(folder: Path) -> None:
    # Last, so that nothing in the folder comes before an installed module.
    if os.fspath(folder) not in sys.path:
        sys.path.append(os.fspath(folder))
