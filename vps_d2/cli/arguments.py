"""The parser of every command, and types of arguments that several commands share."""

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from vps_d2.io.escape import escape_controls
from vps_d2.io.shards import WHOLE, Shard

# The engines of vps_d2.data.synthetic, which takes longer to import than --help should.
PHYSICS = ("mujoco", "bullet")


class CommandParser(argparse.ArgumentParser):
    """A parser that keeps the lines of its description and examples.

    Options and the KEY VALUE pairs of a configuration may be mixed in any order.

    Args:
        prog: how the command was called; None for the name of the script that runs.
        description: what the command does.
        epilog: examples.
    """

    def __init__(self, prog: str | None, description: str | None, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._takes_overrides = False

    def add_overrides(
        self, words: str = "config keys to override, such as MODEL.DEVICE cpu"
    ) -> None:
        """Accept KEY VALUE pairs, which become the list ``opts``.

        Args:
            words: their help text.
        """
        self.add_argument("opts", nargs="*", metavar="KEY VALUE", help=words)
        self._takes_overrides = True

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with a command line, and end the program with exit status 2."""
        super().error(escape_controls(message))

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parse a command line; a wrong one ends the program, as in argparse.

        Args:
            args: words of the command line; None for those of the program.
            namespace: the namespace to fill; None for a new one.
        """
        if any("\0" in word for word in args or ()):  # which no command line can hold
            self.error("a word has a NUL byte in it")
        if not self._takes_overrides:
            return super().parse_args(args, namespace)
        parsed, rest = self.parse_known_args(args, namespace)
        # The first pair and those directly after it are in opts. All others, in order, are in the
        # rest, and so is a value such as -1e-3, which argparse mistakes for an unknown option.
        parsed.opts += rest
        keys = parsed.opts[::2]
        unknown = [word for word in parsed.opts if word.startswith("--")]
        unknown = unknown or [key for key in keys if key.startswith("-")]
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed


def add_physics(parser: CommandParser) -> None:
    """Add the option that chooses the engine of generated motion."""
    parser.add_argument(
        "--physics",
        choices=PHYSICS,
        default=PHYSICS[0],
        help="engine of the motion: mujoco runs everywhere; bullet, the extra [bullet] for Python "
        "up to 3.11, is the one that simulated the real videos (default: %(default)s)",
    )


def parse_count(text: str) -> int:
    """Read a whole number of 0 or more."""
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")


def parse_positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")


def parse_share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")


def parse_rate(text: str) -> Fraction:
    """Read a rate above 0, such as 25, 12.5 or 30000/1001."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if 0 < rate <= 1000:
        return rate
    raise argparse.ArgumentTypeError(f"{text} is not a rate up to 1000, such as 25 or 30000/1001")


def add_shard_option(add: Callable[..., Any]) -> None:
    """Add ``--shard`` to a command.

    Args:
        add: the ``add_argument`` of a parser, or of a group in one.
    """
    add(
        "--shard",
        type=parse_shard,
        default=WHOLE,
        metavar="i/n",
        help="do part i of n of the videos",
    )


def parse_shard(text: str) -> Shard:
    """Read ``i/n``, with i from 0 to n - 1."""
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise argparse.ArgumentTypeError(f"{text} is not i/n with i from 0 to n - 1, such as 0/4")
