"""Score predicted masks by the Jaccard index, and predicted frames by MSE, PSNR and SSIM."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_json

if TYPE_CHECKING:
    from vps_d2.evaluation.compare import Described


EPILOG = """examples:
  vps-d2 evaluate --pred output/hidden/hidden_masks.npy \\
      --truth datasets/vps/hidden_truth.npy
  vps-d2 evaluate --pred output/val/hidden_masks.npy --truth datasets/vps/val --copy \\
      --pred-frames output/val/frames --truth-frames datasets/vps/val --json scores.json

"vps-d2 predict" writes a predictions.json beside the masks, which says which classes and frames
they are of; without it, masks are compared with those of the last frame.
"""


_FRAME_SCORES = {
    "mse": "MSE {:.2f}",
    "psnr": "PSNR {:.2f} dB",
    "ssim": "SSIM {:.4f}",
    "flip": "FLIP {:.4f}",
    "lpips": "LPIPS {:.4f}",
}


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--pred", type=Path, metavar="FILE", help="predicted masks: .npy, uint8 (N, H, W)")
    add(
        "--truth",
        type=Path,
        metavar="PATH",
        help="true masks: a file like that, or the folder of the labeled videos",
    )
    add(
        "--copy",
        action="store_true",
        help="for comparison, score the true mask of the last known frame, and with "
        "--truth-frames that frame, as predictions",
    )
    add(
        "--pred-frames",
        type=Path,
        metavar="DIR",
        help="predicted frames: the folder of video_<n>.npy files",
    )
    add("--truth-frames", type=Path, metavar="DIR", help="true frames: the folder of the videos")
    add(
        "--perceptual",
        nargs="+",
        choices=("flip", "lpips"),
        default=[],
        help="also score frames by how different they look: FLIP, which needs the extra "
        "[perceptual], or LPIPS, which downloads AlexNet",
    )
    add("--json", type=Path, metavar="FILE", help="also write the scores to this JSON file")
    args = parser.parse_args(argv)
    if args.pred and not args.truth:
        parser.error("--pred needs --truth")
    if args.copy and not (args.truth or args.truth_frames):
        parser.error("--copy needs --truth or --truth-frames")
    if bool(args.pred_frames) != bool(args.truth_frames):
        parser.error("--pred-frames and --truth-frames go together")
    if args.perceptual and not args.pred_frames:
        parser.error("--perceptual needs --pred-frames")
    if not (args.pred or args.copy or args.pred_frames):
        parser.error("nothing to score: give --pred and --truth, or frames")
    return args


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Score, print, and write JSON.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file is missing or does not fit.
    """
    args = parse_args(argv, prog)
    inputs = [each for each in (args.pred, args.truth, args.truth_frames) if each]

    from vps_d2.evaluation.compare import read_description, score_copied_frames, score_frames
    from vps_d2.inference.hidden import PREDICTIONS_FILE

    if args.json:
        check_output(args.json, inputs)
    report: dict[str, Any] = {}
    described = read_description(_folder_of_results(args))
    if args.truth:
        report = _score_masks(args, described)
    if args.pred_frames:
        if described is None or not described.frames:
            raise UserError(
                f"{args.pred_frames.parent} does not say which frames these are; predict them "
                f"again with vps-d2 predict, which writes it to {PREDICTIONS_FILE}."
            )
        report["frames"] = score_frames(
            args.pred_frames, args.truth_frames, described.frames, args.perceptual
        )
        print(f"frames: {_format_frame_scores(report['frames'])}")
        if args.copy:
            copies = score_copied_frames(
                args.truth_frames, described.frames, described.num_known, args.perceptual
            )
            report["copied_frames"] = copies
            print(f"frame {described.num_known}, copied: {_format_frame_scores(copies)}")
    if args.json:
        write_json(args.json, report, inputs)


def _format_frame_scores(scores: dict[str, float]) -> str:
    return ", ".join(
        form.format(scores[name]) for name, form in _FRAME_SCORES.items() if name in scores
    )


def _folder_of_results(args: argparse.Namespace) -> Path:
    """Return the folder that ``vps-d2 predict`` wrote to."""
    from vps_d2.inference.hidden import PREDICTIONS_FILE

    result: Path = args.pred or args.pred_frames or args.truth
    return result if (result / PREDICTIONS_FILE).is_file() else result.parent


def _score_masks(args: argparse.Namespace, described: "Described | None") -> dict[str, Any]:
    """Score the masks, with --copy those of the last known frame too, and print the scores."""
    from vps_d2.data.layout import read_layout
    from vps_d2.evaluation.compare import (
        check_order,
        comparison_taxonomy,
        format_masks_report,
        load_masks,
        score_masks,
    )

    in_folder = args.truth.is_dir()
    layout = read_layout(args.truth if in_folder else args.truth.parent)
    taxonomy = comparison_taxonomy(described, layout)
    # Without a description, the masks are taken to be those of the last frame.
    mask_frame = described.mask_frame - 1 if described else -1
    truth = load_masks(args.truth, taxonomy, mask_frame)
    report: dict[str, Any] = {}
    if args.pred:
        check_order(args.pred, args.truth)
        report.update(score_masks(load_masks(args.pred, taxonomy), truth, taxonomy))
        print(format_masks_report(report, "prediction"))
    if args.copy:
        if not in_folder:
            raise UserError(
                f"--copy needs the masks of the known frames, which {args.truth} does not hold; "
                "give the folder of the labeled videos as --truth."
            )
        known = described.num_known if described else layout.num_known
        copies = load_masks(args.truth, taxonomy, known - 1)
        report["copy"] = score_masks(copies, truth, taxonomy)
        print(format_masks_report(report["copy"], f"true mask of frame {known}"))
    return report
