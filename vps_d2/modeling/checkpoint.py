"""Checkpoints that are safe to read, and survive a kill at any moment."""

import os
from typing import Any

import torch
from torch import nn

from vps_d2.d2.checkpoint import DetectionCheckpointer
from vps_d2.io.checkpoints import read_checkpoint
from vps_d2.io.download import fetch_weights, is_address
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_errors, write_text, write_whole
from vps_d2.io.pickles import read_pickle
from vps_d2.io.resources import local_path

_SHOWN = 3
"""Weights that an error names before it counts the rest."""


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that runs no code from a file and writes files whole.

    Weights in half precision load into a model in single precision.

    Args:
        model: to load into, and to save.
        save_dir: folder of checkpoints.
        strict: refuse a checkpoint that lacks a weight of the model, as inference and evaluation
            must; otherwise what is missing is logged, and stays as it is.
        kwargs: further arguments of ``DetectionCheckpointer``.
    """

    def __init__(
        self, model: nn.Module, save_dir: str = "", *, strict: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(model, save_dir, **kwargs)
        self.strict = strict

    def save(self, name: str, **kwargs: Any) -> None:
        """Write model, checkpointables and ``kwargs`` to ``<name>.pth``, and tag it as the last.

        Args:
            name: of the file, without its ending.
            kwargs: further data, of types that ``torch.load(weights_only=True)`` reads.

        Raises:
            UserError: if the disk refuses; the checkpoints that are there stay.
        """
        self.save_untagged(name, **kwargs)
        if self.save_dir and self.save_to_disk:
            # Only now: the tag must never name a file that is not there.
            self.tag_last_checkpoint(f"{name}.pth")

    def save_untagged(self, name: str, **kwargs: Any) -> None:
        """Write what :meth:`save` does to a file that a resumed run does not start from."""
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict()}
        data.update({key: each.state_dict() for key, each in self.checkpointables.items()})
        with write_errors(self.save_dir):
            os.makedirs(self.save_dir, exist_ok=True)
        path = os.path.join(self.save_dir, f"{name}.pth")
        self.logger.info("Saving checkpoint to %s", path)
        with write_whole(path) as file:
            torch.save({**data, **kwargs}, file)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the checkpoint that a resumed run starts from.

        Args:
            last_filename_basename: its file name, without the folder.
        """
        write_text(os.path.join(self.save_dir, "last_checkpoint"), last_filename_basename)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint.

        Args:
            path: or an address (see :mod:`vps_d2.io.download`); ``package://name`` for the shipped
                weights; "" loads nothing.
            checkpointables: which of them to load besides the model; None for all.

        Returns:
            what else the file holds.

        Raises:
            UserError: if the file is missing, damaged, would run code, or fits the model nowhere,
                or if it is strict, not everywhere, or if it cannot be fetched.
        """
        path = local_path(path)
        if is_address(path):
            path = fetch_weights(path)
        elif path and not os.path.isfile(path):
            read_checkpoint(path)  # tells what is wrong
        self._path = path
        try:
            return super().load(path, checkpointables)
        finally:
            # Detectron2 forgets this after an error, and then refuses the next load.
            self._parsed_url_during_load = None

    def _load_file(self, filename: str) -> dict[str, Any]:
        # Detectron2 would unpickle these two before it asks _torch_load.
        if filename.endswith(".pyth"):
            return {"model": self._torch_load(filename)}
        if filename.endswith(".pkl"):
            return _read_model_zoo(filename)
        return super()._load_file(filename)

    def _torch_load(self, f: str) -> dict[str, Any]:
        loaded = read_checkpoint(f)
        weights = loaded.get("model", loaded) if isinstance(loaded, dict) else None
        if not isinstance(weights, dict) or not weights:
            raise UserError(f"checkpoint {f} holds no weights; it needs a state_dict of a model.")
        return loaded

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        if not checkpoint.get("matching_heuristics"):
            _check_overlap(self._path, checkpoint["model"], self.model.state_dict())
        incompatible = super()._load_model(checkpoint)
        if self.strict:
            _check_complete(self._path, incompatible)
        return incompatible


def _read_model_zoo(path: str) -> dict[str, Any]:
    """Read a ``.pkl`` of Detectron2's model zoo, or of Caffe2, whose names are to be matched."""
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"checkpoint {path} holds no weights; it needs arrays by their names.")
    if "model" in content and "__author__" in content:
        return content
    weights = content.get("blobs", content)
    kept = {name: value for name, value in weights.items() if not name.endswith("_momentum")}
    return {"model": kept, "__author__": "Caffe2", "matching_heuristics": True}


def _check_overlap(path: str, weights: dict[str, Any], model: dict[str, torch.Tensor]) -> None:
    shapes = {
        name.removeprefix("module."): tuple(getattr(value, "shape", ()))
        for name, value in weights.items()
    }
    if model and not any(shapes.get(name) == tuple(value.shape) for name, value in model.items()):
        raise UserError(
            f"checkpoint {path} has no weight of this model (it has {next(iter(weights))}, the "
            f"model wants {next(iter(model))}); check that MODEL.WEIGHTS belongs to "
            "MODEL.META_ARCHITECTURE and its sizes."
        )


def _check_complete(path: str, incompatible: Any) -> None:
    """Refuse a checkpoint that left weights of the model as they were, at random."""
    misshapen = {
        name: f"{name} (of shape {tuple(there)}, not {tuple(wanted)})"
        for name, there, wanted in incompatible.incorrect_shapes
    }
    # PyTorch counts batches for a momentum that no model here has.
    lacking = list(misshapen.values()) + [
        name
        for name in incompatible.missing_keys
        if name not in misshapen and not name.endswith("num_batches_tracked")
    ]
    if lacking:
        first = ", ".join(lacking[:_SHOWN])
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        raise UserError(
            f"checkpoint {path} does not hold all weights of the model: it lacks {first}{more}; "
            "give the configuration that it was trained with, or train the rest first."
        )
