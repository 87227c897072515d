"""Configuration tree, and construction of objects from it."""

import functools
import inspect
from collections.abc import Callable
from typing import IO, Any

from fvcore.common.config import CfgNode as _CfgNode

from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = ["CfgNode", "configurable", "get_cfg"]


class CfgNode(_CfgNode):
    """fvcore's configuration node, with Detectron2's check of the file's ``VERSION``."""

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        return PathManager.open(filename, "r", encoding="utf-8")

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = False) -> None:
        """Merge a YAML file, and the files that its ``_BASE_`` names, into this tree.

        Args:
            cfg_filename: path of the YAML file; ``_BASE_`` is relative to it.
            allow_unsafe: let YAML tags run code. Unlike in Detectron2, this is off by default.

        Raises:
            ValueError: if the file is missing, or written for another version of the keys.
            KeyError: if the file has a key that this tree lacks.
        """
        if not PathManager.isfile(cfg_filename):
            raise user_error(f"config file {cfg_filename} does not exist; check the path.")
        loaded = type(self)(self.load_yaml_with_base(cfg_filename, allow_unsafe=allow_unsafe))
        version = loaded.get("VERSION", self.VERSION)
        if version != self.VERSION:
            raise user_error(
                f"config file {cfg_filename} has VERSION {version} but this engine reads only "
                f"{self.VERSION}; bring its keys up to date."
            )
        self.merge_from_other_cfg(loaded)


def get_cfg() -> CfgNode:
    """Return a fresh copy of the default configuration."""
    from vps_d2.d2.embedded.defaults import DEFAULTS  # the defaults are built with CfgNode

    return DEFAULTS.clone()


def configurable(init: Callable[..., None]) -> Callable[..., None]:
    """Let a class be called with a configuration instead of the arguments of its ``__init__``.

    Used on ``__init__``, it takes the class's ``from_config(cls, cfg, ...)`` to turn a
    configuration into arguments. A call whose first positional argument or ``cfg=`` argument is a
    configuration goes through ``from_config``; any other call is unchanged. Arguments that
    ``from_config`` does not take override what it returns.

    Raises:
        TypeError: on misuse, at decoration or at the first call.
        AttributeError: if the class has no ``from_config``.
    """
    if not inspect.isfunction(init):
        raise TypeError("@configurable decorates an __init__ method")

    @functools.wraps(init)
    def construct(self: object, *args: Any, **kwargs: Any) -> None:
        # The class is looked up at call time, so that a subclass can have its own from_config.
        from_config = getattr(type(self), "from_config", None)
        if from_config is None:
            raise AttributeError(f"{type(self).__name__} is @configurable but has no from_config")
        if not inspect.ismethod(from_config):
            raise TypeError(f"{type(self).__name__}.from_config must be a classmethod")
        if _is_called_with_cfg(args, kwargs):
            init(self, **_arguments_from(from_config, args, kwargs))
        else:
            init(self, *args, **kwargs)

    return construct


def _is_called_with_cfg(args: tuple, kwargs: dict[str, Any]) -> bool:
    first = args[0] if args else kwargs.get("cfg")
    return isinstance(first, _CfgNode)


def _arguments_from(
    from_config: Callable[..., dict[str, Any]], args: tuple, kwargs: dict[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(from_config).parameters
    if next(iter(parameters), None) != "cfg":
        raise TypeError(f"the first parameter of {from_config.__qualname__} must be 'cfg'")
    taken = {name: value for name, value in kwargs.items() if name in parameters}
    overwriting = {name: value for name, value in kwargs.items() if name not in parameters}
    return {**from_config(*args, **taken), **overwriting}
