"""Generate videos, predict their next frames and a future mask, and score and draw the result."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line

EPILOG = "example: vps-d2 demo --output output/demo --videos 24"
PIPELINE = "package://configs/demo.yaml"
COPY = "package://configs/pipeline/copy_unet.yaml"


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("output/demo"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    add("--videos", type=int, default=24, metavar="N", help="videos to make (default: %(default)s)")
    add(
        "--seed",
        type=int,
        default=20231,
        metavar="N",
        help="random seed; the default was never trained on (default: %(default)s)",
    )
    add("--gif", type=int, default=6, metavar="N", help="videos to draw (default: %(default)s)")
    return parser.parse_args(argv)


def run_step(title: str, command: str, *arguments: object) -> None:
    """Run one of the commands, after printing it so that it can be repeated by hand.

    Raises:
        UserError: if it fails; it has printed its own error by then.
    """
    words = [command, *map(str, arguments)]
    print(f"\n== {title}\n$ vps-d2 {shlex.join(words)}", flush=True)
    if subprocess.run([sys.executable, "-m", "vps_d2", *words]).returncode:
        raise UserError(f"the demo stopped because vps-d2 {command} failed; see its error above.")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the demo.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a step fails.
    """
    args = parse_args(argv, prog)
    out = args.output.resolve()
    data = out / "data" / f"seed_{args.seed}_{args.videos}"
    hidden, truth = data / "hidden", data / "hidden_truth.npy"

    run_step(
        "Generate videos with a seed never trained on", "make-synthetic",
        "--out", data, "--train", 0, "--val", 0, "--unlabeled", 0, "--hidden", args.videos,
        "--seed", args.seed,
    )  # fmt: skip
    run_step(
        "Predict frames 12-22 and the mask of frame 22", "predict",
        "--config-file", PIPELINE, "--input", hidden, "--output", out, "--gif", args.gif,
    )  # fmt: skip
    run_step(
        "For comparison: segment frame 11 and copy it", "predict",
        "--config-file", COPY, "--input", hidden, "--output", out / "copy",
    )  # fmt: skip
    scores = {}
    for name, folder in (("pipeline", out), ("copy", out / "copy")):
        report = folder / "scores.json"
        run_step(
            f"Score the {name}", "evaluate",
            "--pred", folder / "hidden_masks.npy", "--truth", truth, "--json", report,
        )  # fmt: skip
        scores[name] = json.loads(report.read_text(encoding="utf-8"))["jaccard"]
    run_step(
        "Draw a contact sheet", "visualize",
        "--config-file", PIPELINE, "--input", hidden, "--output", out / "pictures",
        "--truth", truth, "--videos", args.gif,
    )  # fmt: skip
    print_summary(scores, out)


def print_summary(scores: dict[str, float], out: Path) -> None:
    """Print the two scores side by side, and every picture that was written."""
    print(f"\nJaccard index of the mask of frame 22: {scores['pipeline']:.3f}")
    print(f"copying the segmentation of frame 11:  {scores['copy']:.3f}\n")
    print_line(f"masks     {out / 'hidden_masks.npy'}")
    for path in sorted([*out.rglob("*.gif"), *out.rglob("*.png"), *out.rglob("*.mp4")]):
        if "data" not in path.relative_to(out).parts:
            print_line(f"picture   {path}")
