"""Text from outside, such as file names, made safe to show."""

import re

# Control characters, characters that end a line or turn its direction, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKS = re.compile(r"[\\`|<>\[\]*]")


def escape_controls(text: str) -> str:
    r"""Return text as one line that cannot control a terminal.

    Args:
        text: such as a message that names a file.

    Returns:
        the text with ``\n``, ``\x1b`` and the like written out.
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_markdown(text: str) -> str:
    r"""Return text escaped for a Markdown table cell: it starts no cell, link or HTML."""
    return _MARKS.sub(r"\\\g<0>", escape_controls(text))


def print_line(text: object) -> None:
    """Print text, such as a path, as one line that cannot control a terminal."""
    print(escape_controls(str(text)))
