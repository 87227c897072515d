"""Predict frames of labeled videos, and write them with their true masks, to train on."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, add_shard_option, parse_positive
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.cli.tars import run_on_folders
from vps_d2.io.shards import Shard

EPILOG = """example:
  vps-d2 generate --config-file configs/simvp/simvp_gsta_11to11.yaml \\
      --input datasets/vps/train --output datasets/vps/generated_train \\
      MODEL.WEIGHTS output/simvp_gsta_11to11/model_best.pth

In datasets/vps/generated_train, the result is the data set vps_generated_train, on which
configs/mask_rcnn/mask_rcnn_R50w32_FPN_generated.yaml trains Mask R-CNN. After an interruption, the
same command goes on. In file names, frames are counted from 0: frame 22 is video_<v>_frame_21.png.
"""


def parse_frames(text: str) -> list[int]:
    """Read frame numbers, counted from 1 and separated by commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a list such as 12,22") from error


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="config that the video predictor was trained with, or of a pipeline with a predictor, "
        "such as configs/pipeline/object_frames_unet.yaml",
    )
    add(
        "--input",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder or tar files of labeled videos",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for frames and masks")
    add_import_option(parser)
    add(
        "--frames",
        type=parse_frames,
        metavar="N,N",
        help="frames to write, counted from 1, such as 12,22 (default: all that are predicted)",
    )
    add(
        "--batch-size",
        type=parse_positive,
        default=8,
        metavar="N",
        help="videos at a time (default: 8)",
    )
    add("--skip-faulty", action="store_true", help="leave faulty videos out")
    add_shard_option(add)
    parser.add_overrides()
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Generate frames.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video, the configuration or the weights are wrong.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.data.derived.generated_frames import generate_frames
    from vps_d2.inference.pipeline_frames import load_frame_predictor

    predictor = load_frame_predictor(args.config_file, args.opts)

    def generate(root: Path, output: Path, shard: Shard) -> str:
        count = generate_frames(
            predictor,
            root,
            output,
            frame_indices=args.frames and [frame - 1 for frame in args.frames],
            batch_size=args.batch_size,
            skip_faulty=args.skip_faulty,
            shard=shard,
        )
        return f"predicted {count} videos"

    run_on_folders(args, generate)
