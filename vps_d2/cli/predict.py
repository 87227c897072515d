"""Predict the frames that follow the known ones of every video in a folder, and a future mask."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, parse_positive, parse_shard
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.errors import UserError

EPILOG = """example:
  vps-d2 predict --config-file configs/demo.yaml \\
      --input datasets/vps/hidden --output output/hidden --gif 6

The pipeline decides how many frames of a video are read and which frame's mask is predicted: with
configs/demo.yaml frames 1-11 are read, and the mask is that of frame 22.

To share the work between machines or GPUs, start one process for each of --shard 0/4, 1/4, 2/4 and
3/4, with the same --output and other options; the last to finish writes hidden_masks.npy.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="config of a pipeline, such as configs/demo.yaml or a file in configs/pipeline/",
    )
    add(
        "--input",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of video_<n> folders, which hold at least the known frames",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for hidden_masks.npy, videos.txt and predictions.json",
    )
    add_import_option(parser)
    add("--resume", action="store_true", help="go on with an interrupted run")
    add(
        "--shard",
        type=parse_shard,
        default=(0, 1),
        metavar="i/n",
        help="do part i of n of the videos",
    )
    add("--save-frames", action="store_true", help="also write the frames to frames/<video>.npy")
    add(
        "--gif",
        type=int,
        default=0,
        metavar="N",
        help="draw the first N videos as GIFs (default: 0)",
    )
    add("--skip-faulty", action="store_true", help="write an empty mask for a faulty video")
    add(
        "--batch-size",
        type=parse_positive,
        metavar="N",
        help="videos at a time (default: PIPELINE.BATCH_SIZE of the config)",
    )
    parser.add_overrides()
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the pipeline over a folder.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file, a video or the configuration is wrong.
    """
    args = parse_args(argv, prog)

    from vps_d2.config.pipeline import load_pipeline_config
    from vps_d2.inference.future_masks import FutureMaskPredictor
    from vps_d2.inference.hidden import MASKS_FILE, HiddenInference, run_fingerprint

    cfg = load_pipeline_config(args.config_file, args.opts)
    if args.batch_size:
        cfg.PIPELINE.BATCH_SIZE = args.batch_size
    if args.input.resolve() == args.output.resolve():
        raise UserError(f"--output {args.output} is the folder of the videos; give another.")
    import_parts(args.imports)
    pipeline = FutureMaskPredictor.from_config(cfg)
    inference = HiddenInference(
        pipeline,
        args.input,
        args.output,
        run=run_fingerprint(cfg, pipeline),
        shard=args.shard,
        batch_size=cfg.PIPELINE.BATCH_SIZE,
        save_frames=args.save_frames,
        num_gifs=args.gif,
        skip_faulty=args.skip_faulty,
    )
    if inference(args.resume):
        print(f"{args.output / MASKS_FILE}: {len(inference.videos)} masks of {inference.size}")
    else:
        print(f"shard {args.shard[0]}/{args.shard[1]} is done; other shards are not yet")
