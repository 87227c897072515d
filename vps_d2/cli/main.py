"""``vps-d2 COMMAND``: one entry to all commands."""

import importlib
import sys
from collections.abc import Sequence

from vps_d2 import __version__
from vps_d2.cli.run import run_tool

COMMANDS = {
    "train": "train or evaluate a model",
    "slurm": "run a command on a cluster",
    "segment": "segment any video: a mask for each object and frame",
    "propagate": "follow objects through a video, from a mask of one frame",
    "annotate": "annotate a video in the browser: click, follow, correct, export",
    "predict": "predict frames and masks of a video, or of every video in a folder",
    "evaluate": "score predicted masks and frames",
    "evaluate-tubes": "score segmented videos",
    "evaluate-vos": "score object maps, such as those of propagate",
    "eval-interactive": "score what comes of scribbles, in rounds of corrections",
    "evaluate-prompts": "score what makes masks from clicks and scribbles",
    "visualize": "draw videos, masks and predictions",
    "leaderboard": "compare pipelines on the same videos",
    "split-errors": "divide the error of predicted masks by cause",
    "label": "segment unlabeled videos, to train on",
    "generate": "write predicted frames with their true masks, to train on",
    "make-synthetic": "generate videos with exact masks",
    "make-vos-clips": "generate videos of moving objects, to learn to follow objects from",
    "generate-fusion": "follow objects before and after a correction, to learn to fuse masks from",
    "make-tracks": "generate tracks of moving objects, without pictures",
    "replay-clevrer": "measure generated motion against the true motion in scenes of CLEVRER",
    "check-dataset": "list every fault in a data set",
    "compute-mean-std": "measure the pixel mean and standard deviation of a data set",
    "export-weights": "write the weights of checkpoints alone, in half precision",
    "export": "write trained models to ONNX or torch.export, and compare them with PyTorch",
    "recipe": "make shipped weights again, from data to export",
    "benchmark": "time every part on this machine",
    "demo": "make, predict, score and draw some videos",
}
"""What each command does. Its module has the same name, with ``_`` for ``-``, and a function
``main(argv, prog)``; see :mod:`vps_d2.cli.predict`."""

HEAD = """usage: vps-d2 COMMAND [OPTIONS]

Segment videos and predict what they will show next.

commands:"""

TAIL = """vps-d2 COMMAND --help  shows the options of a command, and examples
vps-d2 --version       shows the version"""

ALIASES = {
    "train-net": "train",
    "infer-hidden": "predict",
    "segment-video": "segment",
    "label-unlabeled": "label",
    "generate-frames": "generate",
    "launch-slurm": "slurm",
    "export-model": "export",
    "run-recipe": "recipe",
}
"""Commands by the names of their scripts in ``tools/``, where these differ."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: its name and arguments; None for those of the command line.

    Returns:
        the exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = arguments.pop(0) if arguments else "--help"
    name = given.replace("_", "-")
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name == "--version":
        print(f"vps-d2 {__version__}")
        return 0
    command = ALIASES.get(name, name)
    if command not in COMMANDS:
        print(_unknown(given), file=sys.stderr)
        return 2
    return run_tool(lambda: run_command(command, arguments))


def run_command(command: str, arguments: Sequence[str]) -> None:
    """Import the module of a command, and run it.

    Args:
        command: one of :data:`COMMANDS`.
        arguments: of the command.
    """
    module = importlib.import_module(f"vps_d2.cli.{command.replace('-', '_')}")
    module.main(arguments, prog=f"vps-d2 {command}")


def _usage() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{words}" for name, words in COMMANDS.items()]
    return "\n".join([HEAD, *lines, "", TAIL])


def _unknown(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name.replace("_", "-"), [*COMMANDS, *ALIASES], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"error: {name} is not a command{hint}; vps-d2 --help lists them."
