"""Whether this system can start worker processes, and how many."""

import logging
import multiprocessing
import os


def can_have_workers() -> bool:
    """Return whether this process can communicate with workers, which needs shared memory.

    A container may come without it. The log says so.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        logging.getLogger(__name__).warning(
            "Worker processes cannot be started (%s), so this process does all the work; provide "
            "shared memory (/dev/shm) to use them.",
            error,
        )
        return False
    return True


def count_cpus() -> int:
    """Return the number of CPUs that this process may use: those of its Slurm job, or all."""
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(given) if given.isdecimal() and int(given) else os.cpu_count() or 1
