"""Whether this system can start worker processes."""

import logging
import multiprocessing


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
