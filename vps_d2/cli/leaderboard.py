"""Compare every configured method on the same videos: Markdown table, JSON, and one HTML page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.evaluation.leaderboard import (
    find_methods,
    format_markdown,
    run_methods,
    write_leaderboard,
)
from vps_d2.io.files import check_output

EPILOG = """example:
  python tools/leaderboard.py --data datasets/vps --split val --out output/leaderboard

Every file of configs/pipeline is a method: a new one appears when its configuration does.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Compare methods.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if a video or a configuration is wrong.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the data set")
    add("--split", default="val", help="split with masks (default: val)")
    add("--out", type=Path, required=True, help="where leaderboard.md, .json and .html go")
    configs = Path(__file__).resolve().parent.parent.parent / "configs" / "pipeline"
    add("--configs", type=Path, default=configs, help="methods (default: configs/pipeline)")
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override every config")
    args = parser.parse_args(argv)
    root = args.data / args.split
    methods = find_methods(args.configs, args.opts)
    check_output(args.out / "leaderboard.md")
    target = run_methods(methods, root)
    paths = write_leaderboard(methods, root, target, args.out)
    print(format_markdown(methods, target, f"{root}: {len(target.masks)} videos"))
    print(*paths, sep="\n")
