"""``vps-d2 COMMAND``: one entry to all commands."""

import importlib
import sys
from collections.abc import Sequence
from functools import partial

from vps_d2.cli.run import run_tool

COMMANDS = {
    "train": "train or evaluate any architecture",
    "predict": "predict frames and masks of every video in a folder",
    "evaluate": "score predicted masks and frames",
    "visualize": "draw videos, masks and predictions",
    "leaderboard": "compare every configured method",
    "split-errors": "find out why predicted masks are wrong",
    "label": "segment unlabeled videos to train on",
    "generate": "write predicted frames with true masks to train on",
    "make-synthetic": "make videos with exact masks",
    "make-tracks": "make tracks of objects",
    "check-dataset": "find every fault of a data set",
    "compute-mean-std": "measure the pixels for the normalization",
    "export-weights": "write the weights of checkpoints in half precision",
    "benchmark": "measure how fast the parts are on this machine",
    "demo": "show the main job from end to end",
}
"""Every command with what it does; ``-`` stands for ``_`` in the name of its module."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: its name and arguments; None for those of the command line.

    Returns:
        the exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0).replace("_", "-") if arguments else "--help"
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in COMMANDS:
        print(f"error: {name} is not a command; vps-d2 --help lists them.", file=sys.stderr)
        return 2
    module = importlib.import_module(f"vps_d2.cli.{name.replace('-', '_')}")
    return run_tool(partial(module.main, arguments))


def _usage() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{words}" for name, words in COMMANDS.items()]
    head = "usage: vps-d2 COMMAND ...\n\nvps-d2 COMMAND --help says more of a command.\n\ncommands:"
    return "\n".join([head, *lines])
