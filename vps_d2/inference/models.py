"""Models with their weights, ready to run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.data.clips import ClipSpec
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model, check_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.outputs import ClassMapper
from vps_d2.modeling.precision import inference_autocast
from vps_d2.modeling.tasks import Task, check_task


class LoadedModel(NamedTuple):
    """A model in inference mode with its weights, and the configuration it was built from."""

    model: nn.Module
    cfg: CfgNode

    def __call__(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Run the model in the number format of its configuration, without gradients."""
        with torch.inference_mode(), inference_autocast(self.cfg):
            outputs: list[dict[str, Any]] = self.model(inputs)
        return outputs

    @property
    def clip(self) -> ClipSpec:
        """The frames that the model takes and predicts."""
        return ClipSpec.from_config(self.cfg)

    def class_maps(
        self, inputs: list[dict[str, Any]], classes: Sequence[np.ndarray | None] | None = None
    ) -> np.ndarray:
        """Run a model that is a :class:`ClassMapper`, in the same way as a call."""
        assert isinstance(self.model, ClassMapper)
        with torch.inference_mode(), inference_autocast(self.cfg):
            maps: np.ndarray = self.model.class_maps(inputs, classes).cpu().numpy()
        return maps

    def fingerprint(self) -> str:
        """Return a hash of configuration and weights, independent of their paths and the device."""
        cfg = self.cfg.clone()
        cfg.defrost()
        cfg.MODEL.WEIGHTS = cfg.MODEL.DEVICE = cfg.OUTPUT_DIR = ""
        cfg.MODEL.VOS.FUSER = cfg.MODEL.FUSION.PROPAGATION = ""
        return hash_model(cfg.dump(), self.model)


_weights_hashes: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def hash_model(settings: str, model: nn.Module) -> str:
    """Return a short hash of settings and of a model's weights.

    Weights are only hashed at the first call, so those of a model must not change afterwards.

    Args:
        settings: a text that is the same on every machine.
        model: on any device.
    """
    if model not in _weights_hashes:
        digest = hashlib.sha256()
        for name, value in model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
        _weights_hashes[model] = digest.hexdigest()
    return hashlib.sha256((settings + _weights_hashes[model]).encode()).hexdigest()[:16]


def load_model(
    config_file: str | Path,
    opts: Sequence[str] = (),
    *,
    task: Task | tuple[Task, ...],
    weights: str = "",
) -> LoadedModel:
    """Build the trained model of a configuration.

    Args:
        config_file: of the model's training.
        opts: keys and values that override the file.
        task: what the model is wanted for; one of several.
        weights: checkpoint; "" for the one that the configuration names.

    Raises:
        UserError: if a file is missing, the checkpoint lacks a weight of the model, no weights are
            named, or the model has another task.
    """
    cfg = load_config(config_file, opts)
    check_model(cfg)
    check_task(cfg, task, f"config file {config_file}")
    weights = weights or cfg.MODEL.WEIGHTS
    if not weights:
        raise UserError(
            f"config file {config_file} names no weights; name some, as in MODEL.WEIGHTS "
            "output/unet_frames/model_best.pth."
        )
    model = build_model(cfg).eval()
    SafeCheckpointer(model, strict=True).load(weights)
    return LoadedModel(model, cfg)
