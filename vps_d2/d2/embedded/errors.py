"""How the engine tells its user what only they can put right."""

__all__ = ["set_error_class", "user_error"]

_error_class: type[ValueError] = ValueError


def set_error_class(error_class: type[ValueError]) -> None:
    """Choose the class of the errors of :func:`user_error`.

    The engine imports nothing of the project around it, so the project brings the class that its
    tools show as one sentence without a traceback.
    """
    global _error_class
    _error_class = error_class


def user_error(sentence: str) -> ValueError:
    """Return the error to raise for something that only the user can put right.

    Args:
        sentence: what is wrong, where, and what to do about it.
    """
    return _error_class(sentence)
