"""Show the main job end to end: fresh videos, predicted frames, masks, scores, pictures."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vps_d2.io.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
PIPELINE = "configs/demo.yaml"
COPY = "configs/pipeline/copy_unet.yaml"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python tools/demo.py --output output/demo --videos 24",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=Path("output/demo"), help="where it goes")
    parser.add_argument("--videos", type=int, default=24, help="how many videos to make")
    parser.add_argument("--seed", type=int, default=20231, help="seed, one never trained on")
    parser.add_argument("--gif", type=int, default=6, help="how many videos to show as GIFs")
    return parser.parse_args(argv)


def run_step(title: str, tool: str, *arguments: object) -> None:
    """Run one of the project's tools, and show its command so that it can be run by hand.

    Raises:
        UserError: when the tool fails; its own words stand above.
    """
    command = [f"tools/{tool}.py", *map(str, arguments)]
    print(f"\n== {title}\n$ python {shlex.join(command)}", flush=True)
    if subprocess.run([sys.executable, *command], cwd=ROOT).returncode:
        raise UserError(f"the demo stopped because tools/{tool}.py failed; see its words above.")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo."""
    args = parse_args(argv)
    out = args.output.resolve()
    data = out / "data" / f"seed_{args.seed}_{args.videos}"
    hidden, truth = data / "hidden", data / "hidden_truth.npy"

    run_step(
        "Make videos of a seed never trained on", "make_synthetic",
        "--out", data, "--train", 0, "--val", 0, "--unlabeled", 0, "--hidden", args.videos,
        "--seed", args.seed,
    )  # fmt: skip
    run_step(
        "Predict frames 12-22 and the mask of frame 22", "infer_hidden",
        "--config-file", PIPELINE, "--input", hidden, "--output", out, "--gif", args.gif,
    )  # fmt: skip
    run_step(
        "For comparison: segment frame 11 and copy it", "infer_hidden",
        "--config-file", COPY, "--input", hidden, "--output", out / "copy",
    )  # fmt: skip
    scores = {}
    for name, folder in (("pipeline", out), ("copy", out / "copy")):
        report = folder / "scores.json"
        run_step(
            f"Score the {name}", "evaluate",
            "--pred", folder / "hidden_masks.npy", "--truth", truth, "--json", report,
        )  # fmt: skip
        scores[name] = json.loads(report.read_text())["jaccard"]
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
    print(f"masks     {out / 'hidden_masks.npy'}")
    for path in sorted([*out.rglob("*.gif"), *out.rglob("*.png"), *out.rglob("*.mp4")]):
        if "data" not in path.relative_to(out).parts:
            print(f"picture   {path}")
