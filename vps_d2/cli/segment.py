"""Segment videos: a mask for each object in each frame, with identities that stay."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import CommandParser, parse_positive, parse_share
from vps_d2.cli.plugins import import_parts
from vps_d2.cli.videos import (
    add_overlay_option,
    add_range_options,
    add_run_options,
    check_first,
    check_range,
    clean_each,
    count_words,
    list_inputs,
    print_notes,
    run_each,
)
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line
from vps_d2.io.shards import take_shard

if TYPE_CHECKING:
    from vps_d2.data.taxonomy import Taxonomy
    from vps_d2.inference.video_segmentation import SegmentedVideo
    from vps_d2.io.video import VideoSource

EPILOG = """models:
  --model vps                     our Mask R-CNN, for videos like those of vps-d2 make-synthetic
  --model coco                    Mask R-CNN of torchvision for the 80 classes of COCO; its weights
                                  (177 MB) are downloaded once
  --model hf:NAME_OR_FOLDER       an instance segmenter of transformers, such as Mask2Former
  --model onnx:FILE               a Mask R-CNN that vps-d2 export has written, on the CPU
  --model hf:... --text "a dog"   a video model of transformers that takes a prompt, such as SAM 3
  --config-file FILE --weights FILE
                                  any model with a Detectron2 config, .pth or .pkl

examples:
  vps-d2 segment clip.mp4 --model coco
  vps-d2 segment clip.mp4 other.mov --model coco --classes person dog --start 100 --end 400
  vps-d2 segment datasets/vps/val/video_0 --model vps --output output/boxes
  vps-d2 segment datasets/vps/val --model vps --format png

A folder without pictures stands for the videos in it, and a tar file for those in it; its results
become a tar file.

Of each input NAME, DIR/NAME holds masks/000000.png (the numbers of the objects), masks.mp4,
overlay.mp4, result.json (YouTube-VIS), tracks.csv and summary.html. The arguments --mp4_clip_path,
--save_path, --model_path, --backbone, --ann_path, --img_path, --masks_color and --masks of VisTR
scripts are understood, too.
"""

_BACKBONES = {"resnet50": "R50", "resnet101": "R101"}


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "inputs",
        type=Path,
        nargs="*",
        metavar="IN",
        help="video file, folder of pictures, or folder or tar file of such",
    )
    add(
        *("--output", "--save_path"),
        type=Path,
        default=Path("output/segment"),
        metavar="DIR",
        help="folder for the results, one folder for each input (default: output/segment)",
    )
    _add_model_options(parser)
    add(
        "--threshold",
        type=parse_share,
        default=0.5,
        metavar="P",
        help="score below which an instance is left out (default: 0.5)",
    )
    add(
        "--max-instances",
        type=parse_positive,
        default=10,
        metavar="N",
        help="most objects at a time; the best ones are kept (default: 10)",
    )
    add("--classes", nargs="+", default=[], metavar="NAME", help="keep only these classes")
    add_range_options(parser)
    add(
        "--stride",
        type=parse_positive,
        default=1,
        metavar="N",
        help="take every N-th frame (default: 1)",
    )
    add(
        "--short-side",
        type=parse_positive,
        metavar="N",
        help="pixels of the shorter side at which the model works; masks keep the video's size",
    )
    _add_result_options(parser)
    add_run_options(parser)
    add("--mp4_clip_path", type=Path, action="append", default=[], help=argparse.SUPPRESS)
    add("--img_path", type=Path, help=argparse.SUPPRESS)
    add("--ann_path", type=Path, help=argparse.SUPPRESS)
    add("--masks", action="store_true", help=argparse.SUPPRESS)  # there always are masks
    args = parser.parse_args(argv)
    args.inputs += args.mp4_clip_path
    if not args.inputs and not args.ann_path:
        parser.error("name at least one video or folder of pictures")
    check_range(parser, args)
    return args


def _add_model_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--model", metavar="NAME", help="vps, coco, hf:... or onnx:..., see below (default: coco)")
    add("--config-file", metavar="FILE", help="config of a Detectron2 model instead")
    add("--weights", "--model_path", metavar="FILE", help="weights of that config")
    add("--backbone", choices=_BACKBONES, help=argparse.SUPPRESS)
    add("--text", nargs="+", default=[], metavar="WORDS", help="what a promptable model looks for")
    add("--device", metavar="NAME", help="of PyTorch (default: a GPU if there is one, else cpu)")


def _add_result_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add(
        *("--colors", "--masks_color"),
        choices=("instance", "class", "white"),
        default="instance",
        help="colors of the masks: one for each object (default), that of its class, or white",
    )
    add(
        "--format",
        choices=("png", "mp4", "both"),
        default="both",
        help="write the masks as pictures, as a film, or both (default)",
    )
    add("--lossless", action="store_true", help="write masks.mkv, too: the numbers of the objects")
    add_overlay_option(parser)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Segment videos.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a video, the model, an option or the output is wrong. With several videos, the
            others are done all the same.
    """
    args = parse_args(argv, prog)
    if args.clean:
        from vps_d2.inference.video_segmentation import clean_results

        clean_each(list_inputs(args.inputs, args.output), args.output, clean_results)
        return
    import_parts(args.imports)

    from vps_d2.inference.instance_models import find_instance_model
    from vps_d2.inference.segmentation_results import ResultOptions
    from vps_d2.inference.video_segmentation import SegmentOptions, VideoSegmentation

    args.inputs += _list_annotated(args.ann_path, args.img_path)
    inputs = take_shard(list_inputs(args.inputs, args.output), args.shard)
    check_first(inputs, args.rate)
    if args.weights and not args.config_file and args.backbone:
        args.config_file = f"package://configs/vistr/vistr_{_BACKBONES[args.backbone]}.yaml"
    name = args.model if args.model or args.config_file else "coco"
    model = find_instance_model(
        *(name, args.config_file, args.weights, args.opts),
        text=args.text,
        device=args.device,
        threshold=args.threshold,
        short_side=args.short_side,
    )
    print_notes([model.license_note])
    options = SegmentOptions(
        threshold=args.threshold,
        classes=_find_classes(args.classes, model.taxonomy),
        max_instances=args.max_instances,
        start=args.start,
        end=args.end,
        stride=args.stride,
    )
    results = ResultOptions(
        colors=args.colors,
        pictures=args.format != "mp4",
        films=args.format != "png",
        lossless=args.lossless,
        overlay=args.overlay,
    )

    def run(source: "VideoSource", folder: Path, shown: Path) -> None:
        done = VideoSegmentation(source, model, folder, options, results)(args.resume)
        _report(shown, done, model.taxonomy)

    run_each(inputs, args.output, args.rate, run, args.resume)


def _list_annotated(ann_path: Path | None, img_path: Path | None) -> list[Path]:
    """Return the folders of pictures of the videos that a YouTube-VIS file lists.

    Raises:
        UserError: if the file cannot be read.
    """
    from vps_d2.io.files import read_json

    if ann_path is None:
        return []
    try:
        videos = read_json(ann_path, max_bytes=2 * 10**9)["videos"]
        folders = [Path(img_path or "", video["file_names"][0]).parent for video in videos]
    except OSError as error:
        raise UserError(
            f"--ann_path {ann_path} cannot be read ({error.strerror}); check the path."
        ) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"--ann_path {ann_path} lists no videos with file_names, as YouTube-VIS does; give "
            "such a file, or name the videos themselves."
        ) from error
    return list(dict.fromkeys(folders))


def _find_classes(names: Sequence[str], taxonomy: "Taxonomy") -> tuple[int, ...]:
    """Return the class numbers minus one of class names.

    Raises:
        UserError: if the model does not know one of them.
    """
    import difflib

    known = {name.lower(): number for number, name in enumerate(taxonomy.thing_classes)}
    for name in names:
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
            some = near or list(known)[:5]
            raise UserError(
                f"--classes: the model knows no class {name}; it knows {len(known)}, such as "
                f"{', '.join(some)}."
            )
    return tuple(sorted({known[name.lower()] for name in names}))


def _report(folder: Path, done: "SegmentedVideo", taxonomy: "Taxonomy") -> None:
    print_notes(done.notes)
    names = [taxonomy.thing_classes[each.category_id] for each in done.objects]
    listed = f" ({', '.join(dict.fromkeys(names))})" if names else ""
    objects, frames = count_words(len(names), "object"), count_words(done.num_frames, "frame")
    print_line(f"{folder}: {objects}{listed} in {frames}; look at summary.html")
