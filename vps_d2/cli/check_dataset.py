"""Check every file of a data set, and list all faults."""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls, print_line

_SUMMED_UP = 20
"""If there are more faults than this, a count of each kind follows them."""

_MAX_KINDS = 1000  # that are counted by themselves, since file names can make any number of them
_OTHER = "other faults"

EPILOG = """example: vps-d2 check-dataset datasets/vps

The exit status is 1 if there is a fault, and 0 otherwise.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    parser.add_argument(
        "dir",
        type=Path,
        metavar="DIR",
        help="folder of video_<n> folders, or a folder of such folders (train, val, ...)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Check every video of a data set and print what is wrong, one fault a line.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if there is no such folder, or, after all faults are printed, if there is one.
    """
    args = parse_args(argv, prog)

    from tqdm import tqdm

    from vps_d2.data.faults import Fault, check_dataset
    from vps_d2.data.video import FaultError

    if not args.dir.is_dir():
        raise FaultError(args.dir, "not a folder", "give the folder of a data set")
    kinds: Counter[str] = Counter()

    def report(fault: Fault) -> None:
        tqdm.write(str(fault))  # above the progress bar
        kind = re.sub(r"\d+", "#", fault.reason.partition(" (")[0])
        kinds[kind if kind in kinds or len(kinds) < _MAX_KINDS else _OTHER] += 1

    good = check_dataset(args.dir, report, progress=True)
    count = kinds.total()
    if count > _SUMMED_UP:
        print("summary:")
        for kind, times in kinds.most_common():
            print(f"{times:>8}  {escape_controls(kind)}")
    if count:
        advice = "fix them"
        if good:
            advice += (
                ", or train with DATASETS.SKIP_FAULTY True, which leaves faulty videos out, except "
                "those with a PNG that is damaged in the middle"
            )
        raise UserError(
            f"{count} fault{'s' * (count > 1)} in {args.dir}, listed above, "
            f"and {good} good videos; {advice}."
        )
    print_line(f"{args.dir}: {good} videos, no fault")
