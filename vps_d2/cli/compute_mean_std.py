"""Measure the mean and standard deviation of a data set's pixels, and write them as a config."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.escape import print_line

EPILOG = """example:
  vps-d2 compute-mean-std --data datasets/vps/train --out output/normalization.yaml

Name the file as a _BASE_ of your config.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of video_<n> folders",
    )
    add("--out", type=Path, required=True, metavar="FILE", help="YAML file to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Write MODEL.PIXEL_MEAN and MODEL.PIXEL_STD (R, G, B in 0-255) of some folders of videos.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a folder holds no frame, a frame cannot be read, or --out is another config.
    """
    args = parse_args(argv, prog)

    from vps_d2.data.statistics import check_mean_std_file, compute_mean_std, write_mean_std

    check_mean_std_file(args.out)
    mean, std = compute_mean_std(args.data, progress=True)
    write_mean_std(args.out, mean, std, " and ".join(path.name for path in args.data))
    print(args.out.read_text(encoding="utf-8"), end="")
    print_line(f"written to {args.out}")
