"""Following objects through a video with STCN: the small network, which is shipped, or another.

Shapes: ``H`` rows and ``W`` columns at the working size, ``K`` objects.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.inference.vos.fuser import FrameFuser
from vps_d2.io.download import allow_address, is_address
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.precision import inference_autocast
from vps_d2.modeling.vos.architecture import STCN
from vps_d2.modeling.vos.fusion import FusionNet
from vps_d2.modeling.vos.fusion_network import carry_over, changes
from vps_d2.modeling.vos.network import aggregate

__all__ = ["STCNEngine", "STCNFuser", "make_small_engine", "make_stcn_engine"]

SMALL_CONFIG = "package://configs/vos/small_vos.yaml"
SMALL_WEIGHTS = "package://vos_small.pth"
STCN_CONFIG = "package://configs/vos/stcn_stage3.yaml"


class STCNEngine(VOSEngine):
    """Follows objects with a model for ``video_objects``.

    Args:
        loaded: the model, of the architecture STCN.
        source: see :class:`VOSEngine`.
        short_side: likewise.
        fusion: a model for ``fused_masks``, for the keys of this model; None to fuse no masks.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        source: str,
        short_side: int = 480,
        fusion: LoadedModel | None = None,
    ) -> None:
        assert isinstance(loaded.model, STCN)
        self.source = source
        self.short_side = short_side
        self.video = loaded.model.start_video()
        self.fuser = None if fusion is None else STCNFuser(self, fusion)
        self._loaded, self._model = loaded, loaded.model

    def reset(self) -> None:
        """Forget everything."""
        self.video = self._model.start_video()

    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take in a frame whose objects are known; see the base class."""
        with inference_autocast(self._loaded.cfg):
            self.video.remember(picture, object_map, permanent)

    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> np.ndarray:
        """Find objects in the next frame; see the base class."""
        with inference_autocast(self._loaded.cfg):
            probabilities: np.ndarray = self.video.segment(picture, objects).cpu().numpy()
        return probabilities

    def forget_frames(self) -> None:
        """Forget all frames that are not permanent."""
        self.video.forget_frames()

    def fingerprint(self) -> str:
        """Return a hash of weights and settings, also of those of the fuser."""
        own = self._loaded.fingerprint()
        if self.fuser is None:
            return own
        return hashlib.sha256((own + self.fuser.fingerprint()).encode()).hexdigest()[:16]

    def get_state(self) -> Mapping[str, Any]:
        """Return the memory, and the last frame with its masks."""
        return self.video.state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`get_state` returned, on the device of the model."""
        with inference_autocast(self._loaded.cfg):
            self.video.set_state(_to(state, self._model.device))


class STCNFuser(FrameFuser):
    """Fuses masks by the keys that an engine of STCN has computed already.

    Args:
        engine: that segments the frames.
        loaded: the model, of the architecture FusionNet.
    """

    def __init__(self, engine: STCNEngine, loaded: LoadedModel) -> None:
        assert isinstance(loaded.model, FusionNet)
        self._engine, self._loaded = engine, loaded
        self._network = loaded.model.network
        self._key = self._before = self._after = torch.empty(0)

    def begin(self, picture: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Take in the corrected frame; see the base class."""
        with inference_autocast(self._loaded.cfg):
            _, features = self._engine.video.encode(picture)
        self._key = features.key[0].flatten(1)
        self._before, self._after = (self._tensor(each) for each in (before, after))

    @torch.inference_mode()
    def fuse(
        self,
        picture: np.ndarray,
        objects: Sequence[int],
        old: np.ndarray,
        new: np.ndarray,
        distances: tuple[float, float],
        fused: Sequence[int],
    ) -> np.ndarray:
        """Fuse the masks of a frame; see the base class."""
        video, stride = self._engine.video, self._engine.video.network.stride
        numbers = torch.tensor(fused, device=self._key.device)[:, None, None]
        before, after, earlier = (
            video.pad((each == numbers).float()[:, None])[:, 0]
            for each in (self._before, self._after, self._tensor(old))
        )
        own = torch.from_numpy(new[1:].copy()).to(self._key.device)
        places = [list(objects).index(number) for number in fused]
        later = video.pad(own[places][:, None])[:, 0]
        with inference_autocast(self._loaded.cfg):
            frame, features = video.encode(picture)
            key = features.key[0]
            cells = (key.shape[1], key.shape[2])
            changed = changes(before, after, stride)
            attention = carry_over(changed, self._key, key.flatten(1), cells, stride)
            result = self._network(
                frame.expand(len(fused), -1, -1, -1),
                torch.stack([earlier, later], 1),
                attention,
                torch.tensor([distances], device=own.device).expand(len(fused), -1),
            )
        own[places] = video.crop(result, picture.shape[:2])
        probabilities: np.ndarray = aggregate(own).softmax(0).cpu().numpy()
        return probabilities

    def fingerprint(self) -> str:
        """Return a hash of weights and settings."""
        return self._loaded.fingerprint()

    def _tensor(self, object_map: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(object_map).to(self._key.device)


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
    return STCNEngine(loaded, source, short_side, _load_fusion(loaded))


def _load_fusion(loaded: LoadedModel) -> LoadedModel | None:
    """Load the model that fuses the masks of another, if its configuration names one."""
    if not loaded.cfg.MODEL.VOS.FUSER:
        return None
    cfg = loaded.cfg.clone()
    cfg.defrost()
    cfg.MODEL.META_ARCHITECTURE = FusionNet.__name__
    cfg.freeze()
    model = build_model(cfg).eval()
    SafeCheckpointer(model, strict=True).load(cfg.MODEL.VOS.FUSER)
    return LoadedModel(model, cfg)
