"""Measure how well the engines of generated motion follow the true motion in scenes of CLEVRER."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import PHYSICS, CommandParser
from vps_d2.io.escape import print_line

EPILOG = """example:
  vps-d2 replay-clevrer annotation_00000.json annotation_01000.json --physics mujoco bullet

Every tenth state of a scene is simulated on by 66 frames of CLEVRER, 11 of the videos, and compared
with the true one there. The annotations are on the pages of CLEVRER (clevrer.csail.mit.edu).
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="annotations of CLEVRER")
    add(
        "--physics",
        nargs="+",
        choices=PHYSICS,
        default=[PHYSICS[0]],
        help=f"engines to measure (default: {PHYSICS[0]})",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Print a table of errors.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file is not an annotation of CLEVRER, or an engine is not installed.
    """
    args = parse_args(argv, prog)

    from vps_d2.data.synthetic.replay import KINDS, read_annotation, replay

    scenes = [read_annotation(path) for path in args.files]
    print_line(f"median error after 66 frames (75th percentile), meters; scenes: {len(scenes)}")
    print_line("")
    print_line(f"| engine | {' | '.join(KINDS)} | time of a video |")
    print_line("|---" * (len(KINDS) + 2) + "|")
    for name in args.physics:
        replay(scenes[:1], name)  # the first run loads the engine
        started = time.perf_counter()
        result = replay(scenes, name)
        seconds = (time.perf_counter() - started) / max(result.num_runs, 1)
        cells = [
            f"{result.quantile(kind):.3f} ({result.quantile(kind, 0.75):.3f}), "
            f"{result.count(kind)} objects"
            for kind in KINDS
        ]
        # A video is twice as long as a replay.
        print_line(f"| {name} | {' | '.join(cells)} | {2 * seconds:.3f} s |")
