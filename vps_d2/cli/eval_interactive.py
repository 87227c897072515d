"""Score what comes of scribbles, as DAVIS does in rounds: scribble, follow, and correct."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vps_d2.cli.arguments import CommandParser, parse_positive
from vps_d2.cli.plugins import import_parts
from vps_d2.cli.videos import (
    add_engine_options,
    add_override_options,
    add_prompt_options,
    print_notes,
)
from vps_d2.io.escape import print_line

EPILOG = """examples:
  vps-d2 eval-interactive --dataset davis --sequences $(cat davis/ImageSets/2017/val.txt) \\
      --time-limit 240 --output output/interactive
  vps-d2 eval-interactive --dataset videos --rounds 3 --engine flow --output output/flow

DIR is DAVIS's folder, where people's first scribbles are in Scribbles/NAME/001.json ..., or has
NAME/frames and NAME/masks for each video. Where nobody scribbled, the robot begins, in the first
frame that shows as many objects as any; the result says so. In each further round it scribbles on
the errors in the worst frame. What follows the objects, and makes masks of scribbles, is the same
as on the annotation page.

OUT holds scores.json, rounds.csv and curves.png. AUC is the area under the curve of J&F over time,
and depends on the machine; J&F after each round does not. The first and the last frame count, as
they do in DAVIS's interactive task.
"""
_MAX_ROUNDS = 16
_MAX_SECONDS = 600


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, metavar="DIR", help="videos with their true masks")
    add("--sequences", nargs="+", default=[], metavar="NAME", help="only these videos")
    add(
        "--rounds",
        type=parse_rounds,
        default=8,
        metavar="N",
        help=f"rounds of scribbles, up to {_MAX_ROUNDS} (default: 8)",
    )
    add(
        "--time-limit",
        type=parse_seconds,
        metavar="S",
        help=f"seconds for all rounds of a video, for each of its objects, up to {_MAX_SECONDS}; "
        "what comes later does not count (default: no limit; 240 in the DAVIS challenge)",
    )
    add("--output", type=Path, required=True, metavar="OUT", help="folder for the results")
    add("--resume", action="store_true", help="go on after the last video of an interrupted run")
    add_engine_options(parser)
    add_prompt_options(parser)
    add_override_options(parser)
    return parser.parse_args(argv)


def parse_rounds(text: str) -> int:
    """Read a number of rounds."""
    return _parse_up_to(text, _MAX_ROUNDS)


def parse_seconds(text: str) -> int:
    """Read a time limit."""
    return _parse_up_to(text, _MAX_SECONDS)


def _parse_up_to(text: str, most: int) -> int:
    number = parse_positive(text)
    if number > most:
        raise argparse.ArgumentTypeError(f"{text} is more than {most}")
    return number


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Score, print, and write files.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video, a mask, the engine, an option or the output is wrong.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.evaluation.interactive.evaluation import InteractiveEvaluation
    from vps_d2.evaluation.interactive.rounds import RoundOptions
    from vps_d2.evaluation.interactive.samples import find_videos
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.prompts import find_mask_maker
    from vps_d2.io.folders import check_apart

    videos = find_videos(args.dataset, args.sequences)
    check_apart(args.output, args.dataset)
    engine = find_vos_engine(
        *(args.engine, args.config_file, args.weights, args.opts), device=args.device
    )
    maker = find_mask_maker(engine, args.prompt_weights, args.prompt_config, args.device)
    print_notes(dict.fromkeys([engine.license_note, maker.license_note]))
    options = RoundOptions(args.rounds, args.time_limit, args.short_side or engine.short_side)
    _report(InteractiveEvaluation(videos, engine, maker, args.output, options)(args.resume))


def _report(scores: dict[str, Any]) -> None:
    rounds = scores["rounds"]
    print(f"{'round':<7}" + "".join(f"{name:>9}" for name in rounds))
    for number, values in enumerate(zip(*rounds.values(), strict=True), 1):
        seconds, *measures = values
        print(f"{number:<7}{seconds:>9.1f}" + "".join(f"{value:>9.3f}" for value in measures))
    print(f"AUC {scores['AUC']:.3f} up to {scores['max_seconds']:.0f} s")
    print(f"J&F@60s {scores['J&F@60s']:.3f}")
    print_line(scores["caption"])
