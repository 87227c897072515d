"""Errors of the engine that only its user can fix."""

__all__ = ["set_error_class", "user_error"]

_error_class: type[ValueError] = ValueError


def set_error_class(error_class: type[ValueError]) -> None:
    """Choose the class of the errors of :func:`user_error`.

    The engine imports nothing from the project around it, so the project sets the class that its
    commands show as one sentence without a traceback.
    """
    global _error_class
    _error_class = error_class


def user_error(sentence: str) -> ValueError:
    """Return the error to raise for something that only the user can fix.

    Args:
        sentence: what is wrong, where, and what to do about it.
    """
    return _error_class(sentence)
