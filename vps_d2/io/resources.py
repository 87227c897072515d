"""What comes with the package: configurations and weights, by names that hold on every machine."""

import os
from pathlib import Path

SHIPPED = "package://"
"""Prefix of the names of shipped files: ``package://configs/demo.yaml``, ``package://unet.pth``."""

_CONFIGS = "configs"
_PACKAGE = Path(__file__).resolve().parent.parent


def local_path(path: str | Path) -> str:
    """Return the file or folder that a ``package://`` name means; every other path stays.

    Args:
        path: names below ``package://configs`` are those of configurations, all others of weights.
    """
    path = os.fspath(path)
    if not path.startswith(SHIPPED):
        return path
    name = path.removeprefix(SHIPPED)
    if name.partition("/")[0] == _CONFIGS:
        return str(_config_root() / name)
    return str(_PACKAGE / "weights" / name)


def config_path(path: str | Path, folder: str | Path = "") -> str:
    """Return where a configuration, or a folder of them, lies.

    A path such as ``configs/demo.yaml`` that leads nowhere from the folder is that of a shipped
    one, so a command for a clone of the project works wherever the package is installed.

    Args:
        path: see :func:`local_path`; others are absolute or relative to the folder.
        folder: that relative paths are taken from, to become absolute; "" for the working folder,
            in which they stay relative.
    """
    path = local_path(path)
    if not path or "://" in path:
        return path
    there = Path(folder, path)
    if not there.exists() and Path(path).parts[0] == _CONFIGS:
        shipped = _config_root() / path
        if shipped.exists():
            return str(shipped)
    return str(there.resolve() if folder else there)


def _config_root() -> Path:
    """Return the folder that holds ``configs``: the package, or the clone around it."""
    return _PACKAGE if (_PACKAGE / _CONFIGS).is_dir() else _PACKAGE.parent
