"""How a command ends: its exit status, and what it says of an error."""

import os
import sys
from collections.abc import Callable

from vps_d2.io.errors import UserError


def run_tool(main: Callable[[], None]) -> int:
    """Run a tool's ``main`` and return its exit status.

    Returns:
        0 when it finished, 1 after a :class:`UserError`, whose sentence goes to standard error
        without a traceback, or after an error of the system with a path, which becomes such a
        sentence, 130 after Ctrl-C, and 1 if nobody reads the output any more.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output, such as head, has gone
        # Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        path = error.filename2 or error.filename
        if path is None:
            raise
        print(
            f"error: {path} cannot be used ({error.strerror}); check this path and its "
            "permissions, or give another.",
            file=sys.stderr,
        )
        return 1
    return 0
