"""YAML configuration files, and the files that they build on.

``_BASE_`` follows Detectron2's rules: one path or a list of them, each relative to the file that
names it, or beginning with ``~``; a later file overrides an earlier one, key by key. Each file is
read once, without running code, and within limits far above what any real configuration needs.
Files are never downloaded.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular
from vps_d2.io.resources import config_path, local_path

_BASE = "_BASE_"
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 20  # of nested keys, and of the chain of files
_MAX_ALIASES = 20
_MAX_FILES = 100
_MODELS = ("PREDICTOR", "SEGMENTER", "MASK_PREDICTOR")


def resolve_path(path: str, folder: Path) -> str:
    """Return where a path of weights in a configuration points.

    Args:
        path: of weights: ``package://name`` for shipped ones, absolute, or relative to ``folder``;
            "" is returned unchanged.
        folder: of the configuration file that names it.
    """
    path = local_path(path)
    if not path or "://" in path:
        return path
    return str((folder / path).resolve())


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Read a configuration file and the files that it builds on.

    Args:
        path: of a YAML file, or the name of a shipped one.

    Returns:
        the merged table. Relative paths of PIPELINE's models are taken from the folder of the file
        that names them.

    Raises:
        UserError: if a file is missing, is not a YAML mapping, builds on itself or exceeds a limit,
            or if a key has keys of its own in one file and a value in another.
    """
    path = config_path(path)
    if "://" in path:
        raise UserError(
            f"config file {path} is a URL; configurations are never downloaded, so download it "
            "first."
        )
    return _Chain(Path(path)).load()


class _Chain:
    """The files that one file builds on.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_files = 0
        self.tables: dict[Path, dict[str, Any]] = {}  # of each file that was read

    def load(self) -> dict[str, Any]:
        """Return the table of the file, merged into those of the files that it builds on."""
        return self._load(self.path, ())

    def _load(self, path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
        real = path.resolve()
        if real in above:
            raise UserError(f"config file {path} builds on itself; change its {_BASE}.")
        self.num_files += 1
        if len(above) > _MAX_DEPTH or self.num_files > _MAX_FILES:
            raise UserError(
                f"config file {self.path} builds on too many others (at most {_MAX_DEPTH} in a "
                f"row and {_MAX_FILES} in all); use fewer {_BASE}."
            )
        if real not in self.tables:
            self.tables[real] = self._read(path)
        table = dict(self.tables[real])
        bases = table.pop(_BASE, [])
        merged: dict[str, Any] = {}
        for base in bases if isinstance(bases, list) else [bases]:
            below = self._load(_base_path(base, path), (*above, real))
            _merge(below, merged, path)
        _merge(table, merged, path)
        return merged

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            with open_regular(path) as file:
                text = file.read(_MAX_BYTES + 1)
        except OSError as error:
            if path != self.path:
                raise UserError(
                    f"config file {path}, which {self.path} builds on, cannot be read "
                    f"({error.strerror}); check its {_BASE}."
                ) from error
            if isinstance(error, FileNotFoundError):
                raise UserError(
                    f"config file {path} does not exist; check --config-file."
                ) from error
            raise UserError(
                f"config file {path} cannot be read ({error.strerror}); check --config-file."
            ) from error
        if len(text) > _MAX_BYTES:
            raise UserError(
                f"config file {path} has more than {_MAX_BYTES:,} bytes; give one that is written "
                "by hand."
            )
        table = parse_yaml(text, path)
        if not isinstance(table, dict):
            raise UserError(f"config file {path} holds no keys; write them as KEY: VALUE in YAML.")
        _resolve_models(table, path.resolve().parent)
        return table


def parse_yaml(text: bytes, path: str | Path) -> Any:
    """Parse YAML without running code, and within limits.

    Args:
        text: of the file.
        path: of the file, for error messages.

    Raises:
        UserError: if it is not YAML, or exceeds a limit.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _LimitError as error:
        raise UserError(f"config file {path} {error}; simplify it.") from error
    # A tag can ask for a type that its value cannot have: a number, a date, a hashable key.
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"config file {path}: {_reason(error)}; correct it.") from error


def _reason(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split()).rstrip(".")
    words = " ".join(part for part in (error.context, error.problem) if part)
    return words + (f" in line {error.problem_mark.line + 1}" if error.problem_mark else "")


class _LimitError(Exception):
    """A file exceeds a limit."""


class _Loader(yaml.SafeLoader):
    """A YAML loader that runs no code, and stops as soon as a limit is exceeded."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.depth = 0
        self.num_aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read one value, with everything in it."""
        if self.check_event(yaml.AliasEvent):
            self.num_aliases += 1
            if self.num_aliases > _MAX_ALIASES:
                raise _LimitError(f"has more than {_MAX_ALIASES} aliases")
            node = self.anchors.get(self.peek_event().anchor)
            if node is not None and node.end_mark is None:
                raise _LimitError("has a value that contains itself")
        if self.depth > _MAX_DEPTH:
            raise _LimitError(f"is nested more than {_MAX_DEPTH} deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_scalar_node(self, anchor: Any) -> Any:
        """Read one text or number."""
        node = super().compose_scalar_node(anchor)
        if not is_nameable(node.value):
            raise _LimitError(f"has invalid text or a NUL byte in {node.value!r:.80}")
        return node


def is_nameable(text: str) -> bool:
    """Return whether text could be a file name, without NUL bytes and lone surrogates."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _base_path(base: object, path: Path) -> Path:
    """Return the file that a ``_BASE_`` of the file ``path`` names."""
    if not isinstance(base, str):
        raise UserError(f"config file {path}: {_BASE} is {base}; give the path of a file.")
    base = config_path(os.path.expanduser(base), path.parent)
    if "://" in base:
        raise UserError(
            f"config file {path}: {_BASE} is {base}, but configurations are never downloaded; "
            "download it and give its path."
        )
    return Path(base)


def _merge(table: dict[str, Any], into: dict[str, Any], path: Path) -> None:
    """Override a table with another one, key by key, without changing the other one."""
    for key, value in table.items():
        if isinstance(value, dict):
            there = into.setdefault(key, {})
            if not isinstance(there, dict):
                raise UserError(
                    f"config file {path}: {key} has keys here, but a value in a file that this "
                    "one builds on; give it a value here, too."
                )
            _merge(value, there, path)
        else:
            into[key] = value


def _resolve_models(table: dict[str, Any], folder: Path) -> None:
    """Make the paths of a pipeline's models absolute."""
    pipeline = table.get("PIPELINE")
    if not isinstance(pipeline, dict):
        return
    for node in map(pipeline.get, _MODELS):
        for key, resolve in (("CONFIG_FILE", config_path), ("WEIGHTS", resolve_path)):
            if isinstance(node, dict) and isinstance(node.get(key), str):
                node[key] = resolve(node[key], folder)
