"""Videos in folders, and how they become the input of a model.

Importing this package does not import PyTorch, so a worker process that only reads or writes videos
(:mod:`vps_d2.data.video`) starts at once. The names below are looked up when first used.
"""

import importlib
from typing import Any

_HOME = {
    "register_videos": "vps_d2.data.datasets",
    "register_frames": "vps_d2.data.datasets",
    "register_generated_frames": "vps_d2.data.datasets",
    "register_synthetic_masks": "vps_d2.data.datasets",
    "register_video_instances": "vps_d2.data.datasets",
    "register_ytvis_instances": "vps_d2.data.ytvis",
    "register_vos_procedural": "vps_d2.data.vos.datasets",
    "register_vos_cutouts": "vps_d2.data.vos.datasets",
    "register_vos_stills": "vps_d2.data.vos.datasets",
    "register_davis": "vps_d2.data.vos.datasets",
    "register_youtube_vos": "vps_d2.data.vos.datasets",
    "register_bl30k": "vps_d2.data.vos.datasets",
    "DATASET_MAPPER_REGISTRY": "vps_d2.data.mappers",
    "build_mapper": "vps_d2.data.mappers",
    "build_train_loader": "vps_d2.data.loader",
    "build_test_loader": "vps_d2.data.loader",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
