"""Score segmented videos by YouTube-VIS's average precision of tubes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.files import check_output, write_json

EPILOG = """examples:
  vps-d2 segment datasets/vps/val/video_* --model vps --output output/segmented
  vps-d2 evaluate-tubes datasets/vps/val output/segmented
  vps-d2 evaluate-tubes instances_val.json output/inference/results.json --json scores.json

A tube is the masks of an object in all frames. AP is the mean over the classes and over ten
thresholds of the overlap, 0.50 to 0.95; AR1 and AR10 are recalls with 1 and 10 tubes of a class.
"""
_SHOWN = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10")


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "truth",
        metavar="TRUTH",
        help="folder of labeled videos, JSON file of YouTube-VIS's form, or name of a data set",
    )
    add(
        "results",
        type=Path,
        metavar="RESULTS",
        help="folder that vps-d2 segment wrote for these videos, or a results.json",
    )
    add("--json", type=Path, metavar="FILE", help="also write the scores to this JSON file")
    add_import_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Score, print, and write JSON.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file is missing or does not fit.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.d2.data import DatasetCatalog
    from vps_d2.data.datasets import register_video_instances
    from vps_d2.evaluation.ytvis import evaluate_tubes

    inputs = [args.truth, args.results]
    if args.json:
        check_output(args.json, inputs)
    if args.truth not in DatasetCatalog.list() and Path(args.truth).is_dir():
        register_video_instances(args.truth, args.truth)
    scores = evaluate_tubes(args.truth, args.results)
    for name in _SHOWN:
        print(f"{name:<5}{scores[name]:.3f}")
    if args.json:
        write_json(args.json, scores, inputs)
