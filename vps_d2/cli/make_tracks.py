"""Generate tracks of moving objects, without pictures, for ObjectDynamics to learn from."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import (
    CommandParser,
    add_physics,
    add_shard_option,
    parse_count,
    parse_positive,
    parse_share,
)
from vps_d2.io.escape import print_line

EPILOG = """example:
  vps-d2 make-tracks --out datasets/vps/tracks_train --videos 20000

Each tracks_<n>.npy holds the tracks of 500 videos, read from their masks, and the true motion.
After an interruption, the same command goes on; with a larger number of videos, it adds to those
that are there.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the tracks")
    add("--videos", type=parse_positive, required=True, metavar="N", help="videos to generate")
    add("--seed", type=parse_count, default=0, metavar="N", help="random seed (default: 0)")
    add(
        "--physics-jitter",
        type=parse_share,
        default=0.4,
        metavar="X",
        help="how much friction, drag, bounce and speed vary, from 0 to 1 (default: 0.4)",
    )
    add_physics(parser)
    add("--workers", type=parse_positive, metavar="N", help="processes (default: one for each CPU)")
    add_shard_option(add)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make tracks.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the engine is not installed, or the folder holds other tracks or cannot be
            written.
    """
    args = parse_args(argv, prog)

    from vps_d2.data.synthetic import SyntheticOptions, count_tracks, make_tracks

    options = SyntheticOptions(physics_jitter=args.physics_jitter, physics=args.physics)
    made = make_tracks(
        args.out,
        args.videos,
        seed=args.seed,
        options=options,
        workers=args.workers,
        shard=args.shard,
    )
    print_line(f"{args.out}: made {made} videos; {count_tracks(args.out)} are there now")
