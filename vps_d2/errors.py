"""Errors that are meant for the user, and how a tool shows them."""

import os
import sys
from collections.abc import Callable


class UserError(ValueError):
    """Something only the user can put right.

    The message is one sentence: what is wrong, where, and what to do about it.
    """


def run_tool(main: Callable[[], None]) -> int:
    """Run a tool's ``main`` and return its exit status.

    Returns:
        0 when it finished, 1 after a :class:`UserError`, whose sentence goes to standard error
        without a traceback, 130 after Ctrl-C, and 1 if nobody reads the output any more.
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
    return 0
