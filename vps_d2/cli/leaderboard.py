"""Run pipelines on the same labeled videos, and compare scores, times and masks on one page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.escape import print_line
from vps_d2.io.files import check_output

EPILOG = """example:
  vps-d2 leaderboard --data datasets/vps --split val --out output/leaderboard

Each file in --configs is a pipeline, so to compare another one, put its config there.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    add(
        "--split", default="val", metavar="NAME", help="its folder of labeled videos (default: val)"
    )
    add_import_option(parser)
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for leaderboard.md, leaderboard.json and leaderboard.html",
    )
    add(
        "--configs",
        default="configs/pipeline",
        metavar="DIR",
        help="folder with the config of each pipeline (default: %(default)s)",
    )
    parser.add_overrides("config keys to override in every pipeline")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Compare methods.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video or a configuration is wrong.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.evaluation.leaderboard import find_methods, run_methods
    from vps_d2.evaluation.leaderboard_report import format_markdown, write_leaderboard

    root = args.data / args.split
    methods = find_methods(args.configs, args.opts)
    check_output(args.out / "leaderboard.md")
    target = run_methods(methods, root)
    paths = write_leaderboard(methods, root, target, args.out)
    print(format_markdown(methods, target, f"{root}: {len(target.masks)} videos"))
    for path in paths:
        print_line(path)
