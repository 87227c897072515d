"""Predict the frames that follow the known ones, and a future mask.

The input is a video, or a folder of video_<n> folders, each of which is predicted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, add_shard_option, parse_positive, parse_rate
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.cli.tars import run_on_folders
from vps_d2.io.errors import UserError
from vps_d2.io.shards import WHOLE, Shard

DEFAULT_CONFIG = "configs/demo.yaml"

EPILOG = """examples:
  vps-d2 predict clip.mp4 --rate 25/6 --short-side 160
  vps-d2 predict --config-file configs/demo.yaml \\
      --input datasets/vps/hidden --output output/hidden --gif 6

The pipeline decides how many frames of a video are read and which frame's mask is predicted: with
configs/demo.yaml frames 1-11 are read, and the mask is that of frame 22.

Of a video file or a folder of pictures, the last frames are the known ones by default. The film
NAME.prediction.mp4 beside it shows the next frames and their masks, and NAME.prediction.png is the
mask of the last one. The shipped models were trained on the vps videos, at 25/6 frames per second
and 240 x 160 pixels. They predict nothing sensible on other footage; for that, train your own and
give them with --config-file.

To share the work between machines or GPUs, start one process for each of --shard 0/4, 1/4, 2/4 and
3/4, with the same --output and other options; the last to finish writes hidden_masks.npy.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="config of a pipeline, such as configs/demo.yaml (default) or a file in "
        "configs/pipeline/",
    )
    add(
        "--input",
        type=Path,
        metavar="PATH",
        help="video, folder of pictures, or folder or tar files of video_<n> folders, which hold "
        "at least the known frames; may be given without --input, as the first word",
    )
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help="folder for hidden_masks.npy, videos.txt and predictions.json, or the film of a video "
        "(default: NAME.prediction.mp4 beside it)",
    )
    add_import_option(parser)
    _add_video_options(parser.add_argument_group("of a video file or a folder of pictures"))
    add = parser.add_argument_group("of a folder of video_<n> folders").add_argument
    add("--resume", action="store_true", help="go on with an interrupted run")
    add_shard_option(add)
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
    parser.add_overrides(
        "the input, if not given by --input, and config keys to override, such as MODEL.DEVICE cpu"
    )
    args = parser.parse_args(argv)
    if args.input is None:
        if not args.opts:
            parser.error("give a video, or a folder of videos")
        args.input = Path(args.opts.pop(0))
    return args


def _add_video_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--rate",
        type=parse_rate,
        metavar="FPS",
        help="frames per second that the models see and predict, such as 25/6, for which the "
        "shipped ones are made (default: those of the video)",
    )
    add(
        "--every",
        type=parse_positive,
        metavar="N",
        help="predict again after each N frames, not only at the end",
    )
    add("--sliding", action="store_const", const=1, dest="every", help="the same as --every 1")
    add(
        "--short-side",
        type=parse_positive,
        metavar="PIXELS",
        help="scale the frames for the models, and predictions back; the shipped ones are made for "
        "160 (default: no scaling)",
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the pipeline over a folder.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file, a video or the configuration is wrong.
    """
    args = parse_args(argv, prog)

    from vps_d2.inference.predict_video import is_video

    if is_video(args.input):
        _predict_video(args)
        return
    _check_folder_options(args)

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
    run = run_fingerprint(cfg, pipeline)

    def predict(root: Path, output: Path, shard: Shard) -> str:
        inference = HiddenInference(
            pipeline,
            root,
            output,
            run=run,
            shard=shard,
            batch_size=cfg.PIPELINE.BATCH_SIZE,
            save_frames=args.save_frames,
            num_gifs=args.gif,
            skip_faulty=args.skip_faulty,
        )
        if inference(args.resume):
            return f"{len(inference.videos)} masks of {inference.size} in {MASKS_FILE}"
        return f"shard {shard[0]}/{shard[1]} is done; other shards are not yet"

    run_on_folders(args, predict)


def _predict_video(args: argparse.Namespace) -> None:
    """Predict a video file or a folder of pictures."""
    given = {
        "--resume": args.resume,
        "--shard": args.shard != WHOLE,
        "--save-frames": args.save_frames,
        "--gif": args.gif,
        "--skip-faulty": args.skip_faulty,
        "--batch-size": args.batch_size,
    }
    for option in (option for option, value in given.items() if value):
        raise UserError(f"{option} is for a folder of videos, but {args.input} is one video.")

    from vps_d2.inference.future_masks import FutureMaskPredictor
    from vps_d2.inference.predict_video import VideoPredictor, predict_video
    from vps_d2.io.video import open_video

    open_video(args.input)  # before the models are loaded
    import_parts(args.imports)
    pipeline = FutureMaskPredictor.from_config_file(args.config_file, args.opts)
    predictor = VideoPredictor(
        pipeline, rate=args.rate, every=args.every, short_side=args.short_side
    )
    for line in predict_video(predictor, args.input, args.output):
        print(line)
    if args.config_file == DEFAULT_CONFIG:
        print(
            "The shipped models know only the vps videos; on other footage they predict nothing "
            "sensible."
        )


def _check_folder_options(args: argparse.Namespace) -> None:
    if args.output is None:
        raise UserError(
            f"{args.input} is neither a video nor a folder of pictures; if it is a folder of "
            f"videos, give --output, too."
        )
    if args.rate or args.every or args.short_side:
        raise UserError(
            f"--rate, --every, --sliding and --short-side are for one video, but {args.input} is "
            f"not one; leave them out."
        )
