"""Types of command-line arguments that several tools share."""

import argparse


def parse_count(text: str) -> int:
    """Read a whole number of 0 or more."""
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")


def parse_positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")


def parse_share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``i/n``, with i from 0 to n - 1."""
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise argparse.ArgumentTypeError(f"{text} is not i/n with i from 0 to n - 1, such as 0/4")
