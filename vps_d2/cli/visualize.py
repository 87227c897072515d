"""Draw videos, their masks and what a pipeline predicts, as GIF, MP4 and a contact sheet."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line
from vps_d2.io.files import check_output

EPILOG = """examples:
  vps-d2 visualize --input datasets/vps/val/video_01000 --output output/pictures
  vps-d2 visualize --config-file configs/demo.yaml \\
      --input datasets/vps/hidden --truth datasets/vps/hidden_truth.npy --output output/pictures
"""

SHEET_FILE = "contact_sheet.png"


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        metavar="FILE",
        help="config of a pipeline; without it, nothing is predicted",
    )
    add("--input", type=Path, required=True, metavar="DIR", help="a video, or a folder of videos")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    add_import_option(parser)
    add(
        "--truth",
        type=Path,
        metavar="FILE",
        help="for videos without masks: true masks of the predicted frame, .npy, uint8 (N, H, W)",
    )
    add(
        "--videos", type=int, default=6, metavar="N", help="videos of a folder to draw (default: 6)"
    )
    add("--fps", type=float, default=5, metavar="N", help="frames per second, 0.1-100 (default: 5)")
    parser.add_overrides()
    args = parser.parse_args(argv)
    if args.videos < 1:
        parser.error("--videos must be positive")
    if not 0.1 <= args.fps <= 100:
        parser.error("--fps must be from 0.1 to 100")
    if args.opts and not args.config_file:
        parser.error(f"{' '.join(args.opts)} overrides a config, but no --config-file is given")
    return args


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Draw ``<video>.gif``, ``<video>.mp4`` and ``contact_sheet.png``.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file or the configuration is wrong.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from tqdm import tqdm

    from vps_d2.data.layout import read_layout
    from vps_d2.data.video import find_videos, frame_path
    from vps_d2.io.folders import check_apart
    from vps_d2.io.pictures import write_gif, write_mp4, write_png
    from vps_d2.visualization.drawing import contact_sheet
    from vps_d2.visualization.films import VideoPictures

    check_apart(args.output, args.input)
    check_output(args.output / SHEET_FILE)
    single = frame_path(args.input, 0).exists()
    folders = [args.input] if single else find_videos(args.input)
    pipeline = None
    taxonomy = read_layout(folders[0].parent).taxonomy
    if args.config_file:
        from vps_d2.inference.future_masks import FutureMaskPredictor

        pipeline = FutureMaskPredictor.from_config_file(args.config_file, args.opts)
        taxonomy = pipeline.taxonomy
    truth = None
    if args.truth:
        from vps_d2.evaluation.compare import load_masks

        truth = load_masks(args.truth, taxonomy)
        if len(truth) != len(folders):
            raise UserError(
                f"{args.truth} has {len(truth)} masks, but {args.input} has {len(folders)} videos; "
                "give the masks of this folder."
            )
    rows = []
    for index, folder in enumerate(tqdm(folders[: args.videos], desc="drawing", unit="video")):
        true_mask = None if truth is None else truth[index]
        video = VideoPictures.read(folder, taxonomy, pipeline, true_mask)
        rows.append(video.sheet_row())
        film = video.film()
        write_gif(args.output / f"{video.name}.gif", film, args.fps)
        write_mp4(args.output / f"{video.name}.mp4", film, args.fps)
    write_png(args.output / SHEET_FILE, contact_sheet(rows))
    print_line(args.output / SHEET_FILE)
