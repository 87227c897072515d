"""Following objects through a video with STCN: the small network, which is shipped, or another.

Shapes: ``H`` rows and ``W`` columns at the working size, ``K`` objects.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.io.download import allow_address, is_address
from vps_d2.io.errors import UserError
from vps_d2.modeling.precision import inference_autocast
from vps_d2.modeling.vos.architecture import STCN

__all__ = ["STCNEngine", "make_small_engine", "make_stcn_engine"]

SMALL_CONFIG = "package://configs/vos/small_vos.yaml"
SMALL_WEIGHTS = "package://vos_small.pth"
STCN_CONFIG = "package://configs/vos/stcn_stage3.yaml"


class STCNEngine(VOSEngine):
    """Follows objects with a model for ``video_objects``.

    Args:
        loaded: the model, of the architecture STCN.
        source: see :class:`VOSEngine`.
        short_side: likewise.
    """

    def __init__(self, loaded: LoadedModel, source: str, short_side: int = 480) -> None:
        assert isinstance(loaded.model, STCN)
        self.source = source
        self.short_side = short_side
        self._loaded, self._model = loaded, loaded.model
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._video = self._model.start_video()

    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take in a frame whose objects are known; see the base class."""
        with inference_autocast(self._loaded.cfg):
            self._video.remember(picture, object_map, permanent)

    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> np.ndarray:
        """Find objects in the next frame; see the base class."""
        with inference_autocast(self._loaded.cfg):
            probabilities: np.ndarray = self._video.segment(picture, objects).cpu().numpy()
        return probabilities

    def forget_frames(self) -> None:
        """Forget all frames that are not permanent."""
        self._video.forget_frames()

    def fingerprint(self) -> str:
        """Return a hash of weights and settings."""
        return self._loaded.fingerprint()

    def get_state(self) -> Mapping[str, Any]:
        """Return the memory, and the last frame with its masks."""
        return self._video.state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`get_state` returned, on the device of the model."""
        with inference_autocast(self._loaded.cfg):
            self._video.set_state(_to(state, self._model.device))


def _to(value: Any, device: torch.device) -> Any:
    """Move all tensors in a state to a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _to(each, device) for name, each in value.items()}
    return [_to(each, device) for each in value] if isinstance(value, list) else value


@register_vos_engine("small")
def make_small_engine(options: EngineOptions) -> STCNEngine:
    """Make the engine of the small network; without weights, of those that are shipped."""
    return _make(options, SMALL_CONFIG, SMALL_WEIGHTS, short_side=240)


@register_vos_engine("stcn")
def make_stcn_engine(options: EngineOptions) -> STCNEngine:
    """Make the engine of the published network, with a checkpoint that the user names.

    Raises:
        UserError: if no checkpoint is named.
    """
    if not options.weights and not options.config_file:
        raise UserError(
            "the engine stcn needs the public checkpoint of STCN; name it, as in --weights "
            "stcn.pth."
        )
    return _make(options, STCN_CONFIG, "", short_side=480)


def _make(options: EngineOptions, config_file: str, weights: str, *, short_side: int) -> STCNEngine:
    if options.name:
        raise UserError(
            f'the engine loads no model by a name such as "{options.name}"; leave out the colon '
            "and what follows it, and name a file with --weights."
        )
    if options.weights and is_address(options.weights):
        allow_address(options.weights)  # the user wrote it
    chosen = options.weights or ("" if options.config_file else weights)
    opts = list(options.opts)
    if options.device is not None:
        opts = ["MODEL.DEVICE", options.device, *opts]
    loaded = load_model(
        options.config_file or config_file, opts, task="video_objects", weights=chosen
    )
    if not isinstance(loaded.model, STCN):
        raise UserError(
            f"config file {options.config_file} describes {type(loaded.model).__name__}, which "
            "follows no objects frame by frame; give one with MODEL.META_ARCHITECTURE STCN."
        )
    named = Path(chosen or loaded.cfg.MODEL.WEIGHTS).name
    source = f"STCN ({loaded.cfg.MODEL.VOS.NETWORK}) with the weights {named}"
    return STCNEngine(loaded, source, short_side)
