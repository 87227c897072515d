"""Files that come with the package, configurations and weights, by names valid anywhere."""

import os
from pathlib import Path

SHIPPED = "package://"
"""Prefix of the names of shipped files: ``package://configs/demo.yaml``, ``package://unet.pth``."""

REAL_VIDEOS_VARIABLE = "VPS_D2_REAL_VIDEOS"
"""The environment variable that names the folder of real videos, with ``train`` and ``unlabeled``,
if it is not ``real`` in that of the built-in data sets."""

_CONFIGS = "configs"
_PACKAGE = Path(__file__).resolve().parent.parent


def local_path(path: str | Path) -> str:
    """Return the path of a ``package://`` name; other paths are returned unchanged.

    Args:
        path: names below ``package://configs`` are configurations, all others are weights.
    """
    path = os.fspath(path)
    if not path.startswith(SHIPPED):
        return path
    name = path.removeprefix(SHIPPED)
    if name.partition("/")[0] == _CONFIGS:
        return str(_config_root() / name)
    return str(_PACKAGE / "weights" / name)


def config_path(path: str | Path, folder: str | Path = "") -> str:
    """Return the path of a configuration, or of a folder of them.

    If a path such as ``configs/demo.yaml`` does not exist in the folder, it means the shipped one,
    so commands written for a clone work wherever the package is installed.

    Args:
        path: see :func:`local_path`; others are absolute or relative to the folder.
        folder: relative paths are taken from it and made absolute; "" for the working folder, with
            which they stay relative.
    """
    path = local_path(path)
    if not path or "://" in path:
        return path
    there = Path(folder, path)
    # os.path.exists is False, too, for a name that is too long or in a folder that is not open.
    if not os.path.exists(there) and Path(path).parts[0] == _CONFIGS:
        shipped = _config_root() / path
        if os.path.exists(shipped):
            return str(shipped)
    return str(there.resolve() if folder else there)


def _config_root() -> Path:
    """Return the folder that holds ``configs``: the package, or the clone that it is in."""
    return _PACKAGE if (_PACKAGE / _CONFIGS).is_dir() else _PACKAGE.parent
