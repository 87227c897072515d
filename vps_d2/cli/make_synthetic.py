"""Generate a data set of videos of colliding objects: frames, exact masks, and their motion."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import (
    CommandParser,
    add_physics,
    add_shard_option,
    parse_count,
    parse_positive,
)
from vps_d2.io.escape import print_line

# Those of vps_d2.data.synthetic, which takes longer to import than --help should.
SPLITS = ("train", "val", "unlabeled", "hidden")
EPILOG = """example:
  vps-d2 make-synthetic --out datasets/vps --train 1000 --val 100 --unlabeled 1000 \\
      --hidden 100 --randomize

After an interruption, the same command goes on. The videos are numbered on across train, val,
unlabeled and hidden. hidden_truth.npy holds the masks of frame 22 of the hidden videos; the
scene.json of a video holds each object's class, position (m), velocity (m/s) and orientation.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the data set")
    for split in SPLITS:
        add(
            f"--{split}",
            type=parse_count,
            default=0,
            metavar="N",
            help=f"videos in {split}/ (default: 0)",
        )
    add("--seed", type=parse_count, default=0, metavar="N", help="random seed (default: 0)")
    add("--height", type=parse_positive, default=160, metavar="N", help="of a frame (default: 160)")
    add("--width", type=parse_positive, default=240, metavar="N", help="of a frame (default: 240)")
    add_physics(parser)
    add("--workers", type=parse_positive, metavar="N", help="processes (default: one for each CPU)")
    add_shard_option(add)
    add(
        "--randomize",
        action="store_true",
        help="vary light, colors, noise, outlines and camera in train/ and unlabeled/",
    )
    add(
        "--stored",
        action="store_true",
        help="do not compress frames: 2.5 times the space, read in a quarter of the time",
    )
    args = parser.parse_args(argv)
    if not any(getattr(args, split) for split in SPLITS):
        parser.error("nothing to make; give a number to --train, --val, --unlabeled or --hidden")
    return args


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make a data set.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the engine is not installed, or the folder holds another data set or cannot
            be written.
    """
    args = parse_args(argv, prog)

    from vps_d2.data.synthetic import SyntheticOptions, make_dataset

    written = make_dataset(
        args.out,
        {split: getattr(args, split) for split in SPLITS},
        seed=args.seed,
        options=SyntheticOptions(height=args.height, width=args.width, physics=args.physics),
        randomize=args.randomize,
        stored=args.stored,
        workers=args.workers,
        shard=args.shard,
    )
    print_line(f"{args.out}: wrote {written} videos")
