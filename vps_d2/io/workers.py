"""Whether this system lets a process have workers."""

import logging
import multiprocessing


def can_have_workers() -> bool:
    """Return whether worker processes can be talked to, which takes shared memory.

    A container may come without it. The log says so.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        logging.getLogger(__name__).warning(
            "No worker processes can be started (%s), so this one does it all; give it shared "
            "memory (/dev/shm) to have some.",
            error,
        )
        return False
    return True
