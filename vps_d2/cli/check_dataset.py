"""List every fault of a data set in one run."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.data.faults import check_dataset
from vps_d2.data.video import FaultError
from vps_d2.io.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Check every video of a data set and print what is wrong, one fault a line.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if there is no such folder, or a fault, after all of them are printed.
    """
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Exits with 1 if there is one, and with 0 otherwise.",
        epilog="example: python tools/check_dataset.py datasets/vps",
    )
    parser.add_argument(
        "dir",
        type=Path,
        metavar="DIR",
        help="folder of video_<n> folders, or a folder of such folders (train, val, ...)",
    )
    arguments = parser.parse_args(argv)
    if not arguments.dir.is_dir():
        raise FaultError(arguments.dir, "not a folder", "give the folder of a data set")
    good, faults = check_dataset(arguments.dir, progress=True)
    for fault in faults:
        print(fault)
    if faults:
        advice = "put them right"
        if good:
            advice += (
                ", or train with DATASETS.SKIP_FAULTY True, which leaves out all that are faulty "
                "but those with a PNG that is spoiled in the middle"
            )
        raise UserError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in {arguments.dir}, listed above, "
            f"beside {good} good videos; {advice}."
        )
    print(f"{arguments.dir}: {good} videos, no fault")
