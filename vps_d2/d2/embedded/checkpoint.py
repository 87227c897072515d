"""Checkpoints of models and of what belongs to their training."""

import os
from typing import Any

from fvcore.common.checkpoint import Checkpointer
from torch import nn

from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.file_io import PathManager
from vps_d2.io.checkpoints import read_checkpoint

__all__ = ["DetectionCheckpointer"]


class DetectionCheckpointer(Checkpointer):
    """fvcore's checkpointer, which writes in the main process alone and runs no code from a file.

    A file may be a checkpoint or a bare ``state_dict``. Those of Caffe2 (``.pkl``) are not read.

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
            path: or URL; "" loads nothing.
            checkpointables: which of them to load besides the model; None for all.

        Returns:
            what else the file holds.

        Raises:
            UserError: if the file is missing, is damaged or would run code.
        """
        if path and "://" not in path and not os.path.isfile(path):
            read_checkpoint(path)  # tells what is wrong
        return super().load(path, checkpointables)

    def _load_file(self, f: str) -> dict[str, Any]:
        loaded = self._torch_load(f)
        return loaded if "model" in loaded else {"model": loaded}

    def _torch_load(self, f: str) -> dict[str, Any]:
        return read_checkpoint(f)

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        incompatible = super()._load_model(checkpoint)
        # The configuration sets these two, so a checkpoint without them is as good.
        own = {name for name, _ in self.model.named_buffers(recurse=False)}
        for name in ("pixel_mean", "pixel_std"):
            if name in own and name in incompatible.missing_keys:
                incompatible.missing_keys.remove(name)
        return incompatible
