"""Communication between the processes of a distributed run; in a single one it costs nothing."""

import functools
import gc
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

__all__ = [
    "all_gather",
    "destroy",
    "gather",
    "get_local_rank",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "reduce_dict",
    "set_local_size",
    "shared_random_seed",
    "synchronize",
]

_local_size = 1


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Return the number of processes of the run, over all machines."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Return the number of this process within the run, from 0."""
    return dist.get_rank() if _is_distributed() else 0


def set_local_size(processes: int) -> None:
    """Say how many processes of the run share this machine; ``launch`` does."""
    global _local_size
    _local_size = processes


def get_local_rank() -> int:
    """Return the number of this process within its machine, from 0."""
    return get_rank() % _local_size


def is_main_process() -> bool:
    """Return whether this is the process of rank 0."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process has come here."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == "nccl":
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


@functools.cache
def _cpu_group() -> Any:
    # Pickled objects are gathered in host memory: NCCL would take them through the GPU's.
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else dist.group.WORLD


def destroy() -> None:
    """End this process's part in the run; ``launch`` does.

    The threads of a process group run until nothing refers to it any more, and a thread that still
    runs when Python exits can abort it. Besides this module, distributed models refer to the
    group, often from within reference cycles.
    """
    _cpu_group.cache_clear()
    dist.destroy_process_group()
    gc.collect()


def all_gather(data: Any, group: Any = None) -> list[Any]:
    """Return every process's ``data``, in order of rank, to every process.

    Args:
        data: anything that can be pickled.
        group: the processes that take part; all of them by default.
    """
    if get_world_size() == 1:
        return [data]
    group = _cpu_group() if group is None else group
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, data, group=group)
    return gathered


def gather(data: Any, dst: int = 0, group: Any = None) -> list[Any]:
    """Return every process's ``data``, in order of rank, to one process.

    Args:
        data: anything that can be pickled.
        dst: rank of the process that receives.
        group: the processes that take part; all of them by default.

    Returns:
        The list in the process ``dst``, an empty one in the others.
    """
    if get_world_size() == 1:
        return [data]
    group = _cpu_group() if group is None else group
    receives = dist.get_rank(group) == dst
    gathered: list[Any] | None = [None] * dist.get_world_size(group) if receives else None
    dist.gather_object(data, gathered, dst=dst, group=group)
    return gathered if gathered is not None else []


def shared_random_seed() -> int:
    """Draw a seed from NumPy's generator that is the same in every process, which all must call."""
    return all_gather(int(np.random.randint(2**31)))[0]


def reduce_dict(input_dict: dict[str, torch.Tensor], average: bool = True) -> dict:
    """Add up the values of a dict over the processes.

    Args:
        input_dict: scalar tensors, with the same keys in every process.
        average: divide by the number of processes.

    Returns:
        The result in the process of rank 0; in the others the values mean nothing.
    """
    world_size = get_world_size()
    if world_size == 1:
        return input_dict
    names = sorted(input_dict)
    with torch.no_grad():
        values = torch.stack([input_dict[name] for name in names])
        dist.reduce(values, dst=0)
        if average and is_main_process():
            values /= world_size
    return dict(zip(names, values, strict=True))
