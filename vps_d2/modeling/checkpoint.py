"""Checkpoints that are safe to read, and that survive a kill at any moment."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vps_d2.d2.checkpoint import DetectionCheckpointer
from vps_d2.io.checkpoints import AVERAGE, find_averaged, find_weights, read_checkpoint
from vps_d2.io.download import fetch_weights, is_address
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, write_errors, write_text, write_whole
from vps_d2.io.pickles import read_pickle
from vps_d2.io.resources import local_path

_SHOWN = 3
"""How many missing weights an error names before it counts the rest."""
_NAME_BYTES = 1000


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, which here runs no code from a file and writes files whole.

    Weights in half precision load into a model in single precision. A model that has a method
    ``adapt_weights`` is called as ``adapt_weights(weights, strict)`` first, and loads what
    it returns. If it is strict, the moving averages of weights are loaded, where a run kept them.

    Args:
        model: to load into, and to save.
        save_dir: folder of checkpoints.
        strict: refuse a checkpoint that lacks a weight of the model, or has one that is infinite or
            NaN, as inference and evaluation must; otherwise missing weights are logged and not
            changed.
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
            UserError: if it cannot be written; existing checkpoints are kept.
        """
        self.save_untagged(name, **kwargs)
        if self.save_dir and self.save_to_disk:
            # Only now: the tag must never name a file that does not exist.
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
                or if it is strict, not everywhere or has values that are no numbers, or if it
                cannot be fetched.
        """
        path = local_path(path)
        if is_address(path):
            path = fetch_weights(path)
        elif path and not os.path.isfile(path):
            read_checkpoint(path)  # raises an error that says what is wrong
        self._path = path
        try:
            return super().load(path, checkpointables)
        finally:
            # Detectron2 does not reset this after an error, and then refuses the next load.
            self._parsed_url_during_load = None

    def get_checkpoint_file(self) -> str:
        """Return the checkpoint that a resumed run starts from, as :func:`find_last` does."""
        return str(find_last(self.save_dir) or "")

    def _load_file(self, filename: str) -> dict[str, Any]:
        # Detectron2 would unpickle these two before it asks _torch_load.
        if filename.endswith(".pyth"):
            return {"model": self._torch_load(filename)}
        if filename.endswith(".pkl"):
            return _read_model_zoo(filename)
        return super()._load_file(filename)

    def _torch_load(self, f: str) -> dict[str, Any]:
        loaded: dict[str, Any] = read_checkpoint(f)
        find_weights(loaded, f)
        return loaded

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        if self.strict and AVERAGE in checkpoint:
            checkpoint["model"] = find_averaged(checkpoint, self._path)
        adapt = getattr(self.model, "adapt_weights", None)
        if adapt is not None:
            checkpoint["model"] = adapt(checkpoint["model"], self.strict)
        if not checkpoint.get("matching_heuristics"):
            _check_overlap(self._path, checkpoint["model"], self.model.state_dict())
        incompatible = super()._load_model(checkpoint)
        if self.strict:
            _check_complete(self._path, incompatible)
            _check_finite(self._path, self.model.state_dict())
        return incompatible


def find_last(folder: str | Path) -> Path | None:
    """Return the checkpoint that a resumed run starts from, None if there is none.

    Args:
        folder: of the run.

    Raises:
        UserError: if the file that names it cannot be read, or does not name one in the folder.
    """
    tag = Path(folder, "last_checkpoint")
    try:
        with open_regular(tag) as file:
            name = file.read(_NAME_BYTES).decode().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{tag} cannot be read ({error.strerror}); remove it.") from error
    except ValueError:  # no text
        name = ""
    if not name or not name.isprintable() or Path(name).name != name:
        raise UserError(
            f"{tag} does not name a checkpoint; write the name of one in its folder there."
        )
    return tag.with_name(name)


def _read_model_zoo(path: str) -> dict[str, Any]:
    """Read a ``.pkl`` of Detectron2's model zoo, or of Caffe2, whose names are to be matched."""
    content = read_pickle(path)
    weights = content.get("model", content.get("blobs", content)) if _is_table(content) else None
    if not _is_table(weights) or not weights:
        raise UserError(f"checkpoint {path} holds no weights; give one with arrays by name.")
    kept = {name: value for name, value in weights.items() if not name.endswith("_momentum")}
    for name, value in kept.items():
        if not isinstance(value, np.ndarray):
            raise UserError(
                f"checkpoint {path} does not only hold weights ({name:.80} is not an array); give "
                "one with arrays by name."
            )
    if "model" in content and "__author__" in content:
        return {**content, "model": kept}
    return {"model": kept, "__author__": "Caffe2", "matching_heuristics": True}


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _check_overlap(path: str, weights: dict[str, Any], model: dict[str, torch.Tensor]) -> None:
    shapes = {
        name.removeprefix("module."): tuple(getattr(value, "shape", ()))
        for name, value in weights.items()
    }
    if model and not any(shapes.get(name) == tuple(value.shape) for name, value in model.items()):
        raise UserError(
            f"checkpoint {path} has no weight of this model (it has {next(iter(weights))}, but "
            f"the model needs {next(iter(model))}); check that MODEL.WEIGHTS belongs to "
            "MODEL.META_ARCHITECTURE and its sizes."
        )


def _check_complete(path: str, incompatible: Any) -> None:
    """Refuse a checkpoint that left weights of the model at their random values."""
    misshapen = {
        name: f"{name} (of shape {tuple(there)}, not {tuple(wanted)})"
        for name, there, wanted in incompatible.incorrect_shapes
    }
    # PyTorch counts batches for a form of momentum that no model here uses.
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
            "use the configuration that it was trained with, or train the rest first."
        )


def _check_finite(path: str, model: dict[str, torch.Tensor]) -> None:
    """Refuse weights with which a model would silently find nothing."""
    for name, value in model.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(
                f"checkpoint {path} has values in {name} that are infinite or NaN; use one from "
                "before the training diverged."
            )
