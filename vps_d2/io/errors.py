"""Errors that are meant for the user, and how a log shows them."""

import logging


class UserError(ValueError):
    """Something only the user can put right.

    The message is one sentence: what is wrong, where, and what to do about it.
    """


def shorten_record(record: logging.LogRecord) -> bool:
    """Filter of a log that keeps an error's sentence, but no traceback that helps no user.

    Returns:
        True: every record passes.
    """
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, UserError | FloatingPointError):
        record.msg, record.args = f"{record.getMessage()} {error}", ()
        record.exc_info = None
    return True
