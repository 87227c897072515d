"""Models with their weights, ready to run."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import MAPPERS, build_model, check_model
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.precision import inference_autocast


class LoadedModel(NamedTuple):
    """A model in inference mode with its weights, and the configuration it was built from."""

    model: nn.Module
    cfg: CfgNode

    def __call__(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Run the model in the number format of its configuration, without gradients."""
        with torch.inference_mode(), inference_autocast(self.cfg):
            outputs: list[dict[str, Any]] = self.model(inputs)
        return outputs

    def fingerprint(self) -> str:
        """Return a hash of configuration and weights, the same wherever they lie and run."""
        cfg = self.cfg.clone()
        cfg.defrost()
        cfg.MODEL.WEIGHTS = cfg.MODEL.DEVICE = cfg.OUTPUT_DIR = ""
        digest = hashlib.sha256(cfg.dump().encode())
        for name, value in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:16]


def load_model(config_file: str, weights: str, device: str) -> LoadedModel:
    """Build a model and load its weights.

    Args:
        config_file: of the model's training.
        weights: checkpoint; "" for those that the configuration names.
        device: to put it on.

    Raises:
        UserError: if a file is missing or does not fit, or the configuration is of a pipeline.
    """
    cfg = load_config(config_file)
    cfg.MODEL.DEVICE = device
    check_model(cfg)
    weights = weights or cfg.MODEL.WEIGHTS
    if not weights:
        logging.getLogger(__name__).warning("%s: no weights given, so they are random", config_file)
    return _load_model(cfg, weights)


def load_trained_model(config_file: str | Path, opts: Sequence[str], kind: str) -> LoadedModel:
    """Build the model of a configuration, with the weights that it names.

    Args:
        config_file: of the model's training.
        opts: keys and values that override the file.
        kind: of model that is wanted, one of :data:`MAPPERS`.

    Raises:
        UserError: if a file is missing or does not fit, no weights are named, or the model is of
            another kind.
    """
    cfg = load_config(config_file, opts)
    check_model(cfg)
    if cfg.INPUT.MAPPER not in MAPPERS[kind]:
        raise UserError(
            f"config file {config_file} is of a model that learns with {cfg.INPUT.MAPPER}, not "
            f"with {' or '.join(MAPPERS[kind])}; give another model, or set INPUT.MAPPER."
        )
    if not cfg.MODEL.WEIGHTS:
        raise UserError(
            f"config file {config_file} names no weights; give some, as in MODEL.WEIGHTS "
            "output/unet_frames/model_best.pth."
        )
    return _load_model(cfg, cfg.MODEL.WEIGHTS)


def _load_model(cfg: CfgNode, weights: str) -> LoadedModel:
    model = build_model(cfg).eval()
    SafeCheckpointer(model).load(weights)
    return LoadedModel(model, cfg)
