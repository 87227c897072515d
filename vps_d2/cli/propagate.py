"""Follow objects through videos, from masks of one or more frames."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import import_parts
from vps_d2.cli.videos import (
    add_engine_options,
    add_overlay_option,
    add_range_options,
    add_run_options,
    check_first,
    check_range,
    clean_each,
    count_words,
    list_inputs,
    print_notes,
    run_each,
)
from vps_d2.io.escape import print_line
from vps_d2.io.shards import WHOLE, take_shard

if TYPE_CHECKING:
    from vps_d2.inference.video_propagation import PropagatedVideo
    from vps_d2.io.video import VideoSource

EPILOG = """engines:
  --engine small          our small memory network, for CPUs; its weights are shipped (default)
  --engine stcn --weights stcn.pth
                          STCN, with its public checkpoint
  --engine sam2:NAME, --engine edgetam:NAME
                          SAM 2.1 or EdgeTAM of transformers, by the name or folder of a checkpoint
  --engine flow           moves the last mask by optical flow; no network, no weights

masks:
  A mask is a PNG of the video's size. Its pixels are the numbers of the objects, with a palette
  (as DAVIS has them) or in gray, or white for one object. An object may be in several masks, and
  what is given is never changed.

examples:
  vps-d2 propagate clip.mp4 --mask first.png --output output/propagate
  vps-d2 propagate clip.mp4 --mask first.png --mask 57=other.png --objects 1,3
  vps-d2 propagate clip.mp4 --mask first.png --name 1=dog --dataset datasets/dogs

Of each input NAME, DIR/NAME holds masks/000000.png (the numbers of the objects), overlay.mp4,
propagation.json and session/, which a session can open again.
"""

_NUMBERED = re.compile(r"(\d+)=(.+)", re.DOTALL)


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IN",
        help="video file, folder of pictures, or folder or tar file of such",
    )
    add(
        "--mask",
        type=parse_mask,
        action="append",
        default=[],
        metavar="[K=]PNG",
        help="objects in frame K, counted from 0; by default in the first frame (repeatable)",
    )
    add(
        "--objects",
        type=parse_numbers,
        default=(),
        metavar="N,N",
        help="numbers of the objects to follow (default: all)",
    )
    add(
        "--name",
        type=parse_name,
        action="append",
        default=[],
        metavar="N=CLASS",
        help="class of an object, for labels and --dataset (repeatable)",
    )
    _add_result_options(parser)
    add_engine_options(parser)
    add(
        "--direction",
        choices=("forward", "backward", "both"),
        default="both",
        help="forward from the first mask; backward from the last; or forward, and then backward "
        "from where each object is first given (default)",
    )
    add_range_options(parser)
    add_run_options(parser)
    args = parser.parse_args(argv)
    if not args.mask and not args.clean:
        parser.error("name at least one --mask")
    check_range(parser, args)
    return args


def _add_result_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("output/propagate"),
        metavar="DIR",
        help="folder for the results, one folder for each input (default: output/propagate)",
    )
    add(
        "--dataset",
        type=Path,
        metavar="DIR",
        help="also add frames and masks to this data set, to train on",
    )
    add_overlay_option(parser)


def parse_mask(text: str) -> tuple[int | None, Path]:
    """Read a path, or the index of a frame, ``=`` and a path."""
    numbered = _NUMBERED.fullmatch(text)
    return (int(numbered[1]), Path(numbered[2])) if numbered else (None, Path(text))


def parse_numbers(text: str) -> tuple[int, ...]:
    """Read numbers of objects, separated by commas."""
    words = text.split(",")
    if all(word.strip().isdecimal() and 0 < int(word) < 256 for word in words):
        return tuple(sorted({int(word) for word in words}))
    raise argparse.ArgumentTypeError(f"{text} is not a list of numbers from 1 to 255, such as 1,3")


def parse_name(text: str) -> tuple[int, str]:
    """Read the number of an object, ``=`` and the name of its class."""
    numbered = _NUMBERED.fullmatch(text)
    if numbered and 0 < int(numbered[1]) < 256 and numbered[2].strip():
        return int(numbered[1]), numbered[2].strip()
    raise argparse.ArgumentTypeError(f"{text} is not a number and a name, such as 1=dog")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Follow objects through videos.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video, a mask, the engine, an option or the output is wrong. With several
            videos, the others are done all the same.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.inference.video_propagation import (
        SESSION_FOLDER,
        PropagateOptions,
        VideoPropagation,
        clean_propagation,
    )
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.session import VOSSession

    if args.clean:
        clean_each(list_inputs(args.inputs, args.output), args.output, clean_propagation)
        return
    inputs = take_shard(list_inputs(args.inputs, args.output), args.shard)
    check_first(inputs, args.rate)
    engine = find_vos_engine(
        *(args.engine, args.config_file, args.weights, args.opts), device=args.device
    )
    print_notes([engine.license_note])
    options = PropagateOptions(
        masks=tuple((args.start if index is None else index, path) for index, path in args.mask),
        objects=args.objects,
        names=dict(args.name),
        direction=args.direction,
        start=args.start,
        end=args.end,
        short_side=args.short_side or engine.short_side,
        overlay=args.overlay,
    )

    def run(source: "VideoSource", folder: Path, shown: Path) -> None:
        done = VideoPropagation(source, engine, folder, options)(args.resume)
        _report(shown, done)
        if args.dataset and args.shard == WHOLE:  # videos are added in one order, by one process
            with VOSSession(source, folder / SESSION_FOLDER) as session:
                session.export(args.dataset, "dataset", progress=True)

    run_each(inputs, args.output, args.rate, run, args.resume)


def _report(folder: Path, done: "PropagatedVideo") -> None:
    print_notes(done.notes)
    objects, frames = (
        count_words(len(done.objects), "object"),
        count_words(done.num_frames, "frame"),
    )
    print_line(f"{folder}: {objects} in {frames}")
