"""Starting the processes of a distributed run."""

import importlib
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vps_d2.d2.embedded.utils import comm

__all__ = ["DEFAULT_TIMEOUT", "launch"]

DEFAULT_TIMEOUT = timedelta(minutes=30)


def launch(
    main_func: Callable[..., None],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: tuple = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Run a function in every process of a run; call this on every machine.

    The processes use NCCL if there are GPUs, one for each process, and Gloo otherwise. A run of one
    process runs in this one.

    Args:
        main_func: a function of a module's top level.
        num_gpus_per_machine: processes on each machine.
        num_machines: machines of the run.
        machine_rank: number of this machine, from 0.
        dist_url: where the processes meet, as in ``tcp://127.0.0.1:8686``; "auto" finds a free
            port of this machine, and serves one machine only.
        args: arguments of ``main_func``.
        timeout: how long a process waits for the others.

    Raises:
        ValueError: if ``dist_url`` is missing, or "auto" for several machines.
    """
    world_size = num_machines * num_gpus_per_machine
    if world_size <= 1:  # 0 GPUs means one process on the CPU
        main_func(*args)
        return
    if dist_url is None or (dist_url == "auto" and num_machines > 1):
        raise ValueError(f"dist_url={dist_url!r}: {num_machines} machines need an address to meet")
    if dist_url == "auto":
        dist_url = f"tcp://127.0.0.1:{_find_free_port()}"
    first_rank = machine_rank * num_gpus_per_machine
    mp.spawn(
        _run_process,
        nprocs=num_gpus_per_machine,
        args=(main_func, first_rank, world_size, num_gpus_per_machine, dist_url, args, timeout),
    )


def _run_process(
    local_rank: int,
    main_func: Callable[..., None],
    first_rank: int,
    world_size: int,
    processes_per_machine: int,
    dist_url: str,
    args: tuple[Any, ...],
    timeout: timedelta,
) -> None:
    # Imported later, by a distributed model, its functions would have the group as the default of
    # an argument, and keep it alive; see comm.destroy.
    importlib.import_module("torch.distributed.nn")
    has_gpu = torch.cuda.is_available()
    if has_gpu and processes_per_machine > torch.cuda.device_count():
        raise ValueError(
            f"{processes_per_machine} processes need a GPU each, but this machine has "
            f"{torch.cuda.device_count()}"
        )
    dist.init_process_group(
        "nccl" if has_gpu else "gloo",
        init_method=dist_url,
        world_size=world_size,
        rank=first_rank + local_rank,
        timeout=timeout,
    )
    if has_gpu:
        torch.cuda.set_device(local_rank)
    # Without this, a process that is slow to start can make the first collective call time out.
    comm.synchronize()
    main_func(*args)
    comm.destroy()


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
