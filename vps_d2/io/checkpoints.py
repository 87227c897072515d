"""Checkpoint files on disk, read without running code."""

import argparse
import os
import pickle
import re
import zipfile
from collections.abc import Sequence
from typing import Any

import torch

from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, open_regular, write_whole
from vps_d2.io.pickles import read_pickle
from vps_d2.io.resources import local_path

# What PyTorch's message says of a pickle that names a function or class.
_FOREIGN_GLOBAL = re.compile(
    r"unsupported (?:global|class)\W+(?:GLOBAL\s+)?([\w.]+)", re.IGNORECASE
)

AVERAGE = "ema_state"
"""Where a checkpoint of a training run has the moving average of its weights, if it has one."""

_FOLDER = 0x10
_ZIP = b"PK\x03\x04"


def read_checkpoint(path: str) -> Any:
    """Read a checkpoint into host memory, with ``torch.load(weights_only=True)``.

    Args:
        path: of a file that ``torch.save`` wrote, or a ``.pkl`` of NumPy arrays, as Detectron2's
            model zoo has. Besides what PyTorch holds to be safe, the file may have an
            ``argparse.Namespace``.

    Raises:
        UserError: if the file is missing, is damaged, or would run code when read.
    """
    if path.endswith(".pkl"):
        return read_pickle(path)
    if not os.path.isfile(path):
        raise UserError(
            f"checkpoint {path} does not exist; check MODEL.WEIGHTS or, to resume a run, the file "
            "last_checkpoint in its output folder."
        )
    try:
        _check_archive(path)
        # Many public checkpoints hold the arguments of their training in one; it only sets the
        # attributes that it is given.
        torch.serialization.add_safe_globals([argparse.Namespace])
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _FOREIGN_GLOBAL.search(str(error))
        if found:
            raise UserError(
                f"checkpoint {path} would run code when it is read ({found.group(1)}), so it was "
                "not read; save only its state_dict, as tensors."
            ) from error
        raise _damaged(path) from error
    except PermissionError as error:
        raise UserError(
            f"checkpoint {path} cannot be read: permission denied; change its permissions."
        ) from error
    except MemoryError:
        raise
    # A file that is cut short or changed can make the archive reader, the unpickler, the functions
    # that rebuild tensors or the system fail, with any exception.
    except Exception as error:
        raise _damaged(path) from error


def _check_archive(path: str) -> None:
    """Compare the content of an archive with its checksums, which PyTorch does not check.

    Files in PyTorch's older format are not archives, and have no checksums. Neither have those that
    were written with ``torch.serialization.set_crc32_options(False)``.

    Raises:
        zipfile.BadZipFile: if a checksum is wrong, or it would grow when it is read. Exception: any
        other one, if the archive is broken in another way.
    """
    with open_regular(path) as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
        size = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if sum(info.file_size for info in parts) > size:
                raise zipfile.BadZipFile("it is compressed, or holds a part twice")
            # PyTorch would leave the memory for such a part uninitialized.
            if any(info.external_attr & _FOLDER for info in parts):
                raise zipfile.BadZipFile("a part is marked as a folder")
            if not any(info.CRC for info in parts):
                # It was written with set_crc32_options(False): no damage makes all of them zero.
                for info in parts:
                    archive.open(info).close()  # compares the headers
            elif archive.testzip() is not None:
                raise zipfile.BadZipFile("a checksum is wrong")


def _damaged(path: str) -> UserError:
    return UserError(
        f"checkpoint {path} is damaged or not a checkpoint; copy or download it again, or use an "
        "older one."
    )


def export_weights(checkpoints: Sequence[str], path: str) -> int:
    """Write the weights of checkpoints alone, in half precision, as the shipped ones are.

    The mean of the weights of a run's last checkpoints is often better than each of them
    (stochastic weight averaging, arXiv 1803.05407).

    Args:
        checkpoints: of a training run, or files of weights; the mean of several is written.
        path: of the new file.

    Returns:
        its size in bytes.

    Raises:
        UserError: if a checkpoint cannot be read, holds no weights or those of another model, if
            weights are NaN or too large for half precision, or if the file is one of the
            checkpoints or cannot be written.
    """
    inputs = [local_path(checkpoint) for checkpoint in checkpoints]
    check_output(path, inputs)
    first, *others = checkpoints
    mean = _read_weights(first)
    for count, checkpoint in enumerate(others, 2):
        weights = _read_weights(checkpoint)
        if {name: value.shape for name, value in weights.items()} != {
            name: value.shape for name, value in mean.items()
        }:
            raise UserError(
                f"checkpoints {first} and {checkpoint} are of different models; give checkpoints "
                "of one model."
            )
        for name, value in weights.items():
            if value.is_floating_point():
                mean[name] = mean[name] + (value.double() - mean[name]) / count
    halved = {
        name: value.half() if value.is_floating_point() else value for name, value in mean.items()
    }
    for name, value in halved.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(
                f"checkpoint {first} has values in {name} that are NaN or beyond 65504, the "
                "largest number in half precision; use one from before the training diverged."
            )
    with write_whole(path, inputs) as file:
        torch.save({"model": halved}, file)
    return os.path.getsize(path)


def _read_weights(checkpoint: str) -> dict[str, torch.Tensor]:
    return find_averaged(read_checkpoint(local_path(checkpoint)), checkpoint)


def find_averaged(loaded: Any, path: str) -> dict[str, torch.Tensor]:
    """Return the weights to use a model with: the moving averages, where a run kept them.

    Args:
        loaded: see :func:`find_weights`.
        path: likewise.

    Raises:
        UserError: likewise.
    """
    weights = find_weights(loaded, path)
    if AVERAGE not in loaded or "model" not in loaded:
        return weights
    return {**weights, **find_weights(loaded[AVERAGE], path)}


def find_weights(loaded: Any, path: str) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint that was read.

    Args:
        loaded: a ``state_dict``, or a dict with one under ``model``.
        path: of the checkpoint, for error messages.

    Raises:
        UserError: if there are none, or if something is not a weight, such as a number, a tensor
            without values, or a tensor that shares its values between elements.
    """
    weights = loaded.get("model", loaded) if isinstance(loaded, dict) else None
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"checkpoint {path} holds no weights; give a checkpoint of a training run.")
    for name, value in weights.items():
        if not isinstance(name, str) or not _is_weight(value):
            raise UserError(
                f"checkpoint {path} does not only hold weights ({name!s:.80} is not a tensor of "
                "numbers); give a checkpoint of a training run."
            )
    return weights


def _is_weight(value: Any) -> bool:
    """Return whether a value is a tensor in memory, with each number stored once."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )
