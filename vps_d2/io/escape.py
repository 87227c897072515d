"""Text from outside, such as names of files, made harmless where it is shown."""

import re

# Control characters, what ends a line or turns its direction, and halves of characters.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKS = re.compile(r"[\\`|<>\[\]*]")


def escape_controls(text: str) -> str:
    r"""Return text on one line that does nothing to a terminal.

    Args:
        text: such as a message that names a file.

    Returns:
        the text with ``\n`` and ``\x1b`` written out, and the like.
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_markdown(text: str) -> str:
    r"""Return text that stays text in a cell of a Markdown table: no cell, link or HTML begins."""
    return _MARKS.sub(r"\\\g<0>", escape_controls(text))
