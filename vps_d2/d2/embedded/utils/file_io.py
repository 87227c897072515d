"""One way to paths: local ones, and ``http(s)://`` and ``detectron2://`` ones, which are cached."""

from typing import IO, Any

from iopath.common.file_io import HTTPURLHandler, PathHandler
from iopath.common.file_io import PathManager as _PathManager

__all__ = ["PathManager"]

PathManager = _PathManager()
"""The path manager of this engine: ``open``, ``isfile``, ``mkdirs``, ``get_local_path``, ..."""


class _ModelZooHandler(PathHandler):
    """Finds ``detectron2://name`` where Detectron2 publishes its models."""

    _PREFIX = "detectron2://"
    _SERVER = "https://dl.fbaipublicfiles.com/detectron2/"

    def _get_supported_prefixes(self) -> list[str]:
        return [self._PREFIX]

    def _address(self, path: str) -> str:
        return self._SERVER + path.removeprefix(self._PREFIX)

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        return PathManager.get_local_path(self._address(path), force=force, **kwargs)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> IO[Any]:
        return PathManager.open(self._address(path), mode, buffering=buffering, **kwargs)


PathManager.register_handler(HTTPURLHandler())
PathManager.register_handler(_ModelZooHandler())
