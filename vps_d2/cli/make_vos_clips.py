"""Generate videos of objects that move, bend and hide each other, with a map of the objects."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, add_shard_option, parse_count, parse_positive

_MOST_OBJECTS = 50
_SIDES = 32, 4096
EPILOG = """examples:
  vps-d2 make-vos-clips --out datasets/vos_clips --videos 100
  vps-d2 make-vos-clips --out datasets/photo_clips --videos 1000 --seed 1 \\
      --pictures ~/Pictures --cutouts ~/cutouts

A video is 160 frames of 768x512 pixels with 3 to 5 objects, as in BL30K; beside the objects there
are things that look like them, and things that hide them. The layout is that of DAVIS:
JPEGImages/clip_<n>/<frame>.jpg, Annotations/clip_<n>/<frame>.png with the object numbers, and the
list ImageSets/2017/train.txt; register_davis makes a data set of it. Look at sheet.jpg before you
train. After an interruption the same command goes on, and more --videos add to those there.

A cut-out is a PNG of one object on a transparent background.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the data set")
    add(
        "--videos",
        type=parse_positive,
        default=10,
        metavar="N",
        help="number of them (default: 10)",
    )
    add("--frames", type=parse_positive, default=160, metavar="N", help="of a video (default: 160)")
    add("--height", type=parse_positive, default=512, metavar="N", help="of a frame (default: 512)")
    add("--width", type=parse_positive, default=768, metavar="N", help="of a frame (default: 768)")
    add(
        "--objects",
        type=parse_positive,
        nargs=2,
        default=(3, 5),
        metavar=("LEAST", "MOST"),
        help="number of objects in a video (default: 3 5)",
    )
    add("--pictures", type=Path, metavar="DIR", help="pictures for backgrounds and surfaces")
    add("--cutouts", type=Path, metavar="DIR", help="cut-outs to use as objects")
    add("--seed", type=parse_count, default=0, metavar="N", help="random seed (default: 0)")
    add("--workers", type=parse_positive, metavar="N", help="processes (default: one for each CPU)")
    add_shard_option(add)
    args = parser.parse_args(argv)
    least, most = args.objects
    if not least <= most <= _MOST_OBJECTS:
        parser.error(f"--objects needs two rising numbers of up to {_MOST_OBJECTS}")
    if not _SIDES[0] <= min(args.height, args.width) <= max(args.height, args.width) <= _SIDES[1]:
        parser.error(f"--height and --width must be from {_SIDES[0]} to {_SIDES[1]}")
    return args


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make a data set.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the folder holds another data set or cannot be written, or a picture cannot
            be read.
    """
    args = parse_args(argv, prog)

    from vps_d2.data.vos.long_clips import LongClipOptions, make_vos_clips

    options = LongClipOptions(
        num_frames=args.frames,
        height=args.height,
        width=args.width,
        objects=tuple(args.objects),
        pictures=args.pictures and str(args.pictures),
        cutouts=args.cutouts and str(args.cutouts),
    )
    written = make_vos_clips(
        args.out,
        args.videos,
        seed=args.seed,
        options=options,
        workers=args.workers,
        shard=args.shard,
    )
    print(f"{args.out}: wrote {written} videos")
