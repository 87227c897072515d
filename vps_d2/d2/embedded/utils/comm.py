"""Communication between the processes of a distributed run; a single process has no overhead."""

import functools
import gc
from typing import Any

import torch
import torch.distributed as dist

__all__ = [
    "all_gather",
    "destroy",
    "gather",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "synchronize",
]


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Return the number of processes of the run, over all machines."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Return the number of this process within the run, from 0."""
    return dist.get_rank() if _is_distributed() else 0


def is_main_process() -> bool:
    """Return whether this is the process of rank 0."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process has reached this point."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == "nccl":
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


@functools.cache
def _cpu_group() -> Any:
    # Pickled objects are gathered in host memory; NCCL would move them through GPU memory.
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else dist.group.WORLD


def destroy() -> None:
    """Leave the process group; ``launch`` calls this.

    The threads of a process group run until nothing refers to it any more, and a thread that still
    runs when Python exits can abort it. Besides this module, distributed models refer to the
    group, often from within reference cycles.
    """
    _cpu_group.cache_clear()
    dist.destroy_process_group()
    gc.collect()


def all_gather(data: Any) -> list[Any]:
    """Return every process's ``data``, in order of rank, to every process.

    Args:
        data: anything that can be pickled.
    """
    if get_world_size() == 1:
        return [data]
    gathered: list[Any] = [None] * get_world_size()
    dist.all_gather_object(gathered, data, group=_cpu_group())
    return gathered


def gather(data: Any) -> list[Any]:
    """Return every process's ``data``, in order of rank, to the process of rank 0.

    Args:
        data: anything that can be pickled.

    Returns:
        The list in the process of rank 0, an empty one in the others.
    """
    if get_world_size() == 1:
        return [data]
    gathered: list[Any] | None = [None] * get_world_size() if is_main_process() else None
    dist.gather_object(data, gathered, dst=0, group=_cpu_group())
    return gathered if gathered is not None else []
