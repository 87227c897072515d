"""Segment videos without masks, so that models can learn from them (pseudo labels)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, add_shard_option, parse_positive, parse_share
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.cli.tars import run_on_folders
from vps_d2.io.shards import Shard

EPILOG = """example:
  vps-d2 label --config-file configs/unet/unet_frames.yaml \\
      --input datasets/vps/unlabeled --output datasets/vps/labeled \\
      MODEL.WEIGHTS package://unet.pth

The result is a new folder of labeled videos, whose frames are links; the input is not changed. In
datasets/vps/labeled, it is the data sets vps_labeled and vps_frames_labeled. After an interruption,
the same command goes on. To share the work between several processes, start them with --shard 0/4,
1/4, 2/4 and 3/4 and the same --output, and then once more without it, which joins their lists of
videos that were left out; vps-d2 slurm does this on a cluster.

The input may be tar files of videos instead; each becomes a tar file of labeled videos.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="config that the segmenter was trained with",
    )
    add(
        "--input",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of videos, tar file of videos, or folder of such files",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the labeled videos")
    add_import_option(parser)
    add(
        "--threshold",
        type=parse_share,
        default=0.8,
        metavar="P",
        help="mean probability of the objects' pixels below which a video is left out and "
        "listed in left_out.txt (default: 0.8)",
    )
    add_shard_option(add)
    add(
        "--batch-size",
        type=parse_positive,
        default=22,
        metavar="N",
        help="frames at a time (default: 22)",
    )
    add("--skip-faulty", action="store_true", help="leave faulty videos out")
    parser.add_overrides()
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Label a folder of videos.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video, the configuration or the weights are wrong.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.data.derived.pseudo_labels import label_videos
    from vps_d2.inference.models import load_model
    from vps_d2.inference.segmentation import FrameSegmenter

    model = load_model(args.config_file, args.opts, task="segmentation")
    segmenter = FrameSegmenter(
        model, score_thresh=model.cfg.PIPELINE.SCORE_THRESH, batch_size=args.batch_size
    )

    def label(root: Path, output: Path, shard: Shard) -> str:
        counts = label_videos(
            segmenter,
            root,
            output,
            threshold=args.threshold,
            shard=shard,
            skip_faulty=args.skip_faulty,
        )
        return f"{counts.labeled} videos labeled, {counts.left_out} left out"

    run_on_folders(args, label)
