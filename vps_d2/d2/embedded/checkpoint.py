"""Checkpoints of models and of the state of their training."""

import logging
import os
from typing import Any

import torch
from fvcore.common.checkpoint import Checkpointer
from torch import nn

from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = ["DetectionCheckpointer", "align_names"]

_logger = logging.getLogger(__name__)
_CAFFE2 = "Caffe2"
"""The ``__author__`` of checkpoints whose weights are named and shaped as in Caffe2."""


class DetectionCheckpointer(Checkpointer):
    """fvcore's checkpointer, which only writes in the main process and runs no code from a file.

    A file may be a checkpoint, a bare ``state_dict``, or from Detectron2's model zoo, whose
    ``matching_heuristics`` ask for :func:`align_names`. Weights in Caffe2's layout are not loaded.

    Args:
        model: whose weights are saved and loaded.
        save_dir: folder of the checkpoints; "" saves none.
        save_to_disk: whether this process writes; None lets the main process do so.
        checkpointables: further objects with a ``state_dict`` and ``load_state_dict``, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        writes = comm.is_main_process() if save_to_disk is None else save_to_disk
        super().__init__(model, save_dir, save_to_disk=writes, **checkpointables)
        self.path_manager = PathManager

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint.

        Args:
            path: of a file on this machine; "" loads nothing.
            checkpointables: which of them to load besides the model; None for all.

        Returns:
            what else the file holds.

        Raises:
            ValueError: if the file is missing, or its weights are in Caffe2's layout.
        """
        if path and not os.path.isfile(path):
            raise user_error(f"checkpoint {path} does not exist; check MODEL.WEIGHTS.")
        return super().load(path, checkpointables)

    def _load_file(self, f: str) -> dict[str, Any]:
        loaded = self._torch_load(f)
        return loaded if "model" in loaded else {"model": loaded}

    def _torch_load(self, f: str) -> dict[str, Any]:
        return torch.load(f, map_location="cpu", weights_only=True)

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        if checkpoint.get("__author__") == _CAFFE2 or "blobs" in checkpoint["model"]:
            raise user_error(
                "the checkpoint has its weights in Caffe2's layout, which the embedded engine does "
                "not know; give one of Detectron2's model zoo in Detectron2's own layout, or "
                "install Detectron2."
            )
        if checkpoint.get("matching_heuristics"):
            self._convert_ndarray_to_tensor(checkpoint["model"])
            checkpoint["model"] = align_names(self.model.state_dict(), checkpoint["model"])
        incompatible = super()._load_model(checkpoint)
        # The configuration sets these two, so a checkpoint does not need them.
        own = {name for name, _ in self.model.named_buffers(recurse=False)}
        for name in ("pixel_mean", "pixel_std"):
            if name in own and name in incompatible.missing_keys:
                incompatible.missing_keys.remove(name)
        # Old checkpoints hold the anchors, which the configuration sets.
        incompatible.unexpected_keys[:] = [
            name
            for name in incompatible.unexpected_keys
            if "anchor_generator.cell_anchors" not in name
        ]
        return incompatible


def align_names(
    model: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Rename weights to the names that a model has for them.

    A weight of the model is taken from the one whose name is the longest suffix of the model's
    name, in whole parts: ``backbone.bottom_up.res2.0.conv1.weight`` from ``res2.0.conv1.weight``
    rather than from ``conv1.weight``. So backbones that were trained separately fit into detectors.

    Args:
        model: the model's own weights by name.
        weights: those of a checkpoint.

    Returns:
        the checkpoint's weights: those that fit under the names of the model, and all others, such
        as those of another shape than the model's, under their own.

    Raises:
        ValueError: if one of them would have to be used twice.
    """
    aligned: dict[str, torch.Tensor] = {}
    used: dict[str, str] = {}
    for name in sorted(model):
        source = _longest_suffix(name, weights)
        if source is None:
            continue
        if weights[source].shape != model[name].shape:
            _logger.warning(
                "%s is left out: its shape is %s, and that of %s in the model is %s.",
                *(source, tuple(weights[source].shape), name, tuple(model[name].shape)),
            )
            continue
        if source in used:
            raise user_error(
                f"weight {source} of the checkpoint fits the model twice, as {used[source]} and as "
                f"{name}; give a checkpoint of this model."
            )
        used[source] = name
        aligned[name] = weights[source]
    if not used:
        _logger.warning("No weight of the checkpoint fits the model.")
        return weights
    _logger.info("%d of the model's %d weights are in the checkpoint.", len(used), len(model))
    rest = {name: value for name, value in weights.items() if name not in used}
    return {**aligned, **rest}


def _longest_suffix(name: str, candidates: dict[str, Any]) -> str | None:
    """Return the longest of the candidates that ``name`` ends with, in whole parts between dots."""
    parts = name.split(".")
    suffixes = (".".join(parts[start:]) for start in range(len(parts)))
    return next((suffix for suffix in suffixes if suffix in candidates), None)
