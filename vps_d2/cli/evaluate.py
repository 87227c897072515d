"""Score predicted masks by the Jaccard index, and predicted frames by MSE, PSNR and SSIM."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vps_d2.data.video import NUM_INPUT_FRAMES
from vps_d2.evaluation.compare import (
    check_order,
    format_masks_report,
    load_masks,
    score_frames,
    score_masks,
)
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_json

EPILOG = """examples:
  python tools/evaluate.py --pred output/hidden/hidden_masks.npy \\
      --truth datasets/vps/hidden_truth.npy
  python tools/evaluate.py --pred output/val/hidden_masks.npy --truth datasets/vps/val --copy \\
      --pred-frames output/val/frames --truth-frames datasets/vps/val --json scores.json
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--pred", type=Path, help="predicted masks of frame 22, .npy of uint8 (N, H, W)")
    add("--truth", type=Path, help="true ones: such a file, or a folder of labeled videos")
    add("--copy", action="store_true", help="also score the true mask of frame 11 (needs a folder)")
    add("--pred-frames", type=Path, help="folder of video_<n>.npy, frames up to frame 22")
    add("--truth-frames", type=Path, help="folder of the whole videos")
    add("--json", type=Path, help="where to write the scores (default: nowhere)")
    args = parser.parse_args(argv)
    if (args.pred or args.copy) and not args.truth:
        parser.error("--pred and --copy need --truth")
    if bool(args.pred_frames) != bool(args.truth_frames):
        parser.error("--pred-frames and --truth-frames go together")
    if not (args.pred or args.copy or args.pred_frames):
        parser.error("nothing to score: give --pred and --truth, or frames")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Score, print, and write JSON.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if a file is missing or does not fit.
    """
    args = parse_args(argv)
    if args.json:
        check_output(args.json)
    report: dict[str, Any] = {}
    if args.truth:
        truth = load_masks(args.truth)
    if args.pred:
        check_order(args.pred, args.truth)
        report.update(score_masks(load_masks(args.pred), truth))
        print(format_masks_report(report, "prediction"))
    if args.copy:
        if not args.truth.is_dir():
            raise UserError(
                f"--copy needs the mask of frame 11, which {args.truth} has not; give the folder "
                "of the labeled videos."
            )
        report["copy"] = score_masks(load_masks(args.truth, NUM_INPUT_FRAMES - 1), truth)
        print(format_masks_report(report["copy"], "true mask of frame 11"))
    if args.pred_frames:
        report["frames"] = score_frames(args.pred_frames, args.truth_frames)
        print(
            "frames: MSE {mse:.2f}, PSNR {psnr:.2f} dB, SSIM {ssim:.4f}".format(**report["frames"])
        )
    if args.json:
        write_json(args.json, report)
