"""The engines that follow objects through a video, by the names that a user gives them."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.io.errors import UserError

__all__ = ["DEFAULT_ENGINE", "EngineOptions", "find_vos_engine", "register_vos_engine"]

DEFAULT_ENGINE = "small"
"""What is used if the user names no engine."""


@dataclass(frozen=True)
class EngineOptions:
    """What a user says about an engine.

    Args:
        name: of a model that the engine loads: what follows the colon in its name; "" for none.
        config_file: of a model with the task ``video_objects``, in place of the shipped one.
        weights: path or URL of its checkpoint.
        opts: keys and values that override the configuration.
        device: of PyTorch, such as ``"cuda:1"``; None for a GPU if there is one.
    """

    name: str = ""
    config_file: str | None = None
    weights: str | None = None
    opts: tuple[str, ...] = ()
    device: str | None = None


EngineMaker = Callable[[EngineOptions], VOSEngine]

_makers: dict[str, EngineMaker] = {}

# Modules that register engines of this project; imported when one is asked for.
_HOME = {
    "small": "vps_d2.inference.vos.stcn",
    "stcn": "vps_d2.inference.vos.stcn",
    "sam2": "vps_d2.inference.vos.sam",
    "edgetam": "vps_d2.inference.vos.sam",
    "flow": "vps_d2.inference.vos.flow",
}


def register_vos_engine(name: str) -> Callable[[EngineMaker], EngineMaker]:
    """Make an engine known by a name, as a decorator of the function that makes it.

    Args:
        name: without a colon. To use it on the command line, name the file that registers it after
            ``--import``.
    """

    def register(maker: EngineMaker) -> EngineMaker:
        _makers[name] = maker
        return maker

    return register


def find_vos_engine(
    engine: str | None = None,
    config_file: str | None = None,
    weights: str | None = None,
    opts: Sequence[str] = (),
    *,
    device: str | None = None,
) -> VOSEngine:
    """Make the engine that a user names.

    Args:
        engine: its name, in some cases followed by a colon and the name of a model; None for
            :data:`DEFAULT_ENGINE`.
        config_file: see :class:`EngineOptions`, as the other arguments.
        weights: likewise.
        opts: likewise.
        device: likewise.

    Raises:
        UserError: if no such engine exists, an argument does not belong to it, or its files are
            missing, damaged, or of another model.
    """
    name, _, model = (engine or DEFAULT_ENGINE).partition(":")
    if name not in _makers and name in _HOME:
        importlib.import_module(_HOME[name])
    if name not in _makers:
        names = ", ".join(sorted({*_HOME, *_makers}))
        raise UserError(f"engine {name} is unknown; name one of {names}.")
    return _makers[name](EngineOptions(model, config_file, weights, tuple(opts), device))
