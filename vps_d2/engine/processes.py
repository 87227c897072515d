"""The processes of a training run: their number, their group, and how they end together."""

import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from vps_d2.d2.utils import comm
from vps_d2.io.errors import UserError

__all__ = ["end_together", "is_launched", "run_launched", "spawn_errors"]

_TIMEOUT = timedelta(minutes=30)  # as long as Detectron2 waits
_WAIT = 5.0
"""Seconds that a process waits which lost another one, so that the other one reports the cause."""
_LOST = ("connection closed", "connection reset", "connection was", "broken pipe", "nccl", "store")
_USER_ERROR = f"{UserError.__module__}.{UserError.__name__}: "


def is_launched() -> bool:
    """Return whether ``torchrun``, or ``vps-d2 slurm``, has started this process as one of several.

    They say so in the environment, by the names that PyTorch reads.
    """
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)


def run_launched(main: Callable[..., Any], *args: Any) -> Any:
    """Run a function as one process of the group that the environment describes.

    Args:
        main: what every process runs.
        args: its arguments.

    Raises:
        UserError: if there are fewer GPUs than processes, or the processes do not find each other.
    """
    has_gpu = torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if has_gpu:
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"process {local_rank} of this machine has no GPU, as PyTorch sees "
                f"{torch.cuda.device_count()}; start no more processes than that."
            )
        torch.cuda.set_device(local_rank)
    # Imported later, its functions would keep the group alive; see the embedded engine's launch.
    importlib.import_module("torch.distributed.nn")
    address = ":".join(os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT"))
    try:
        distributed.init_process_group("nccl" if has_gpu else "gloo", timeout=_TIMEOUT)
        comm.synchronize()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of the run did not meet at {address} ({str(error).splitlines()[0]}); "
            "check that every machine can reach this address."
        ) from error
    try:
        return main(*args)
    finally:
        comm.destroy()


@contextmanager
def end_together() -> Iterator[None]:
    """Say in one sentence that another process of the run has ended, and end as well.

    Raises:
        UserError: instead of what PyTorch raises when it cannot reach another process.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if comm.get_world_size() == 1 or not any(words in text for words in _LOST):
            raise
        rank = comm.get_rank()
        time.sleep(_WAIT)
        raise UserError(
            f"another process of the run has ended, so process {rank} ends as well; see what the "
            "other one reports, and go on with --resume."
        ) from error


@contextmanager
def spawn_errors() -> Iterator[None]:
    """Report the error of a process that ``launch`` started as if it were one of this process.

    Raises:
        UserError: if a process raised one, or was killed.
    """
    from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

    try:
        yield
    except ProcessRaisedException as error:
        sentence = str(error).rpartition(_USER_ERROR)[2] if _USER_ERROR in str(error) else ""
        if not sentence:
            raise
        raise UserError(sentence.strip()) from error
    except ProcessExitedException as error:
        raise UserError(
            f"process {error.error_index} of the run was killed ({error.signal_name or 'exit'}), "
            "perhaps for lack of memory; go on with --resume."
        ) from error
