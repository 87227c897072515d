"""Predict later frames of every video in a folder, and the mask of one of them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, parse_positive, parse_shard
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.errors import UserError

EPILOG = """example:
  vps-d2 predict --config-file configs/demo.yaml \\
      --input datasets/vps/hidden --output output/hidden --gif 6

several machines or GPUs: start one process for each of --shard 0/4, 1/4, 2/4 and 3/4 with the same
other options and --output; the one that finishes last joins the parts into hidden_masks.npy.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--config-file", required=True, help="of a pipeline, such as one of configs/pipeline")
    add(
        "--input",
        type=Path,
        required=True,
        help="folder of video_<n> with the known frames or more",
    )
    add("--output", type=Path, required=True, help="where hidden_masks.npy and videos.txt go")
    add_import_option(parser)
    add("--resume", action="store_true", help="continue an interrupted run")
    add("--shard", type=parse_shard, default=(0, 1), metavar="i/n", help="do a part of the videos")
    add("--save-frames", action="store_true", help="write predicted frames to frames/<video>.npy")
    add("--gif", type=int, default=0, metavar="K", help="draw the first K videos (default: 0)")
    add("--skip-faulty", action="store_true", help="write background for faulty videos")
    add("--batch-size", type=parse_positive, help="videos at a time (default: of the config)")
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
        print(f"shard {args.shard[0]} of {args.shard[1]} is done; others are not yet")
