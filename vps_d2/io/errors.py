"""Errors that are meant for the user, and how a log shows them."""

import logging


class UserError(ValueError):
    """An error that only the user can fix.

    The message is one sentence: what is wrong, where, and what to do about it.
    """


def shorten_record(record: logging.LogRecord) -> bool:
    """Remove the traceback of a :class:`UserError` from a log record, and keep its sentence.

    Returns:
        always True, so that every record is kept.
    """
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, UserError | FloatingPointError):
        record.msg, record.args = f"{record.getMessage()} {error}", ()
        record.exc_info = None
    return True
