"""One way to paths: local ones and ``http(s)://`` ones, which are cached."""

from iopath.common.file_io import HTTPURLHandler
from iopath.common.file_io import PathManager as _PathManager

__all__ = ["PathManager"]

PathManager = _PathManager()
"""The path manager of this project: ``open``, ``isfile``, ``mkdirs``, ``get_local_path``, ..."""

PathManager.register_handler(HTTPURLHandler())
