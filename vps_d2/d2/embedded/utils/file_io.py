"""Access to paths, all of them local: nothing is downloaded here."""

from iopath.common.file_io import PathManager as _PathManager

__all__ = ["PathManager"]

PathManager = _PathManager()
"""The path manager of this engine: ``open``, ``isfile``, ``mkdirs``, ``get_local_path``, ..."""
