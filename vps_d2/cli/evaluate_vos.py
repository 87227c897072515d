"""Score object maps by DAVIS's J (region), F (boundary), and their mean J&F."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.files import check_output, write_json

EPILOG = """examples:
  vps-d2 propagate davis/JPEGImages/480p/camel --mask davis/Annotations/480p/camel/00000.png \\
      --output output/davis
  vps-d2 evaluate-vos davis output/davis --sequences camel
  vps-d2 evaluate-vos davis output/davis --json scores.json

DATASET is DAVIS's or YouTube-VOS's folder, one with NAME/*.png or NAME/masks/*.png, or the name of
a data set that is registered, in a file after --import if it is your own. Of each object, the first
frame (its mask is given) and the last one do not count, as in DAVIS's semi-supervised task. The
scores of all objects are averaged.
"""
_COLUMNS = ("J&F", "J", "F")


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder with the true masks, or name of a data set")
    add("results", type=Path, metavar="RESULTS", help="folder with the masks to score")
    add("--sequences", nargs="+", default=[], metavar="NAME", help="score only these sequences")
    add("--json", type=Path, metavar="FILE", help="also write all scores to this JSON file")
    add_import_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Score, print, and write JSON.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a mask is missing, cannot be read, or has another size.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.evaluation.video_objects import evaluate_vos

    inputs = [args.dataset, args.results]
    if args.json:
        check_output(args.json, inputs)
    scores = evaluate_vos(args.dataset, args.results, tuple(args.sequences))
    width = max(len(name) for name in ("mean over objects", *scores["objects"])) + 4
    print(f"{'sequence':<{width}}" + "".join(f"{name:>7}" for name in _COLUMNS))
    for name, objects in scores["objects"].items():
        for number, values in objects.items():
            _print_row(f"{name} {number}", values, width)
    _print_row("mean over objects", scores, width)
    if args.json:
        write_json(args.json, scores, inputs)


def _print_row(label: str, values: dict[str, float], width: int) -> None:
    print(f"{label:<{width}}" + "".join(f"{values[name]:>7.3f}" for name in _COLUMNS))
