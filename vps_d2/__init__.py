"""Segment videos and predict what they will show next: an extension of Detectron2.

The names below are those that most programs need. Each is imported when it is first used, so
``import vps_d2`` takes no time.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vps_d2.config.defaults import add_vps_config, get_vps_cfg
    from vps_d2.config.loading import load_config
    from vps_d2.config.pipeline import load_pipeline_config
    from vps_d2.data.datasets import (
        register_frames,
        register_generated_frames,
        register_tracks,
        register_video_instances,
        register_videos,
    )
    from vps_d2.data.layout import VideoLayout
    from vps_d2.data.taxonomy import Taxonomy
    from vps_d2.data.ytvis import register_ytvis_instances
    from vps_d2.engine.trainer import Trainer
    from vps_d2.inference.future_masks import FutureMaskPredictor, FuturePrediction
    from vps_d2.inference.models import LoadedModel, load_model
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.session import VOSSession
    from vps_d2.io.errors import UserError

__version__ = "0.2.0"

__all__ = [
    "FutureMaskPredictor",
    "FuturePrediction",
    "LoadedModel",
    "Taxonomy",
    "Trainer",
    "UserError",
    "VOSSession",
    "VideoLayout",
    "add_vps_config",
    "find_vos_engine",
    "get_vps_cfg",
    "load_config",
    "load_model",
    "load_pipeline_config",
    "register_frames",
    "register_generated_frames",
    "register_tracks",
    "register_video_instances",
    "register_videos",
    "register_ytvis_instances",
]

# The module that defines each name.
_HOMES = {
    "FutureMaskPredictor": "inference.future_masks",
    "FuturePrediction": "inference.future_masks",
    "LoadedModel": "inference.models",
    "Taxonomy": "data.taxonomy",
    "Trainer": "engine.trainer",
    "UserError": "io.errors",
    "VOSSession": "inference.vos.session",
    "VideoLayout": "data.layout",
    "add_vps_config": "config.defaults",
    "find_vos_engine": "inference.vos.engines",
    "get_vps_cfg": "config.defaults",
    "load_config": "config.loading",
    "load_model": "inference.models",
    "load_pipeline_config": "config.pipeline",
    "register_frames": "data.datasets",
    "register_generated_frames": "data.datasets",
    "register_tracks": "data.datasets",
    "register_video_instances": "data.datasets",
    "register_videos": "data.datasets",
    "register_ytvis_instances": "data.ytvis",
}

# fvcore calls it when it is imported, which users cannot change.
warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Trainer":  # the trainer looks up evaluators by name
        importlib.import_module(f"{__name__}.evaluation")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
