"""Score what makes masks from clicks and scribbles, on pictures with true masks."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vps_d2.cli.arguments import CommandParser, parse_share
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.files import check_output, write_json

EPILOG = """examples:
  vps-d2 evaluate-prompts pictures masks
  vps-d2 evaluate-prompts pictures masks scribbles --weights s2m.pth --json scores.json
  vps-d2 evaluate-prompts pictures masks --engine sam2

Masks are PNGs with the names of the pictures, white where the object is. A robot clicks in the
middle of the largest error until the intersection over union is high enough. Scribbles are PNGs of
the same names, which are 1 on the object, 0 on the background, and 255 elsewhere.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("pictures", type=Path, metavar="PICTURES", help="folder of pictures")
    add("masks", type=Path, metavar="MASKS", help="folder of their true masks")
    add(
        "scribbles",
        type=Path,
        nargs="*",
        metavar="SCRIBBLES",
        help="folder of a person's scribbles; one folder for each person",
    )
    add(
        "--iou",
        type=parse_share,
        default=0.85,
        metavar="X",
        help="intersection over union to click up to, from 0 to 1 (default: 0.85)",
    )
    add("--engine", metavar="NAME", help="score the prompts of this engine, if it has its own")
    add("--weights", metavar="FILE", help="of a scribble-to-mask network (default: those shipped)")
    add("--config-file", metavar="FILE", help="of these weights (default: of the public network)")
    add("--device", metavar="NAME", help="of PyTorch (default: a GPU if there is one, else cpu)")
    add("--json", type=Path, metavar="FILE", help="also write all scores to this JSON file")
    add_import_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Score, print, and write JSON.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file is missing or cannot be read, or sizes differ.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.evaluation.prompts import evaluate_prompts
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.prompts import find_mask_maker

    inputs = [args.pictures, args.masks, *args.scribbles]
    if args.json:
        check_output(args.json, inputs)
    engine = find_vos_engine(args.engine, device=args.device) if args.engine else None
    maker = find_mask_maker(engine, args.weights, args.config_file, args.device)
    scores = evaluate_prompts(maker, args.pictures, args.masks, args.scribbles, args.iou)
    _print(maker.source, scores, args)
    if args.json:
        write_json(args.json, {"source": maker.source, **scores}, inputs)


def _print(source: str, scores: dict[str, Any], args: argparse.Namespace) -> None:
    print(source)
    width = max(len("picture"), *map(len, scores["pictures"])) + 2
    names = [f"{'picture':<{width}}{'clicks':>8}", *(folder.name for folder in args.scribbles)]
    print("  ".join(names))
    for name, values in scores["pictures"].items():
        _print_row(f"{name:<{width}}{len(values['clicks']):>8}", values["scribble_iou"], names)
    _print_row(f"{'mean':<{width}}{scores['clicks']:>8.1f}", scores["scribble_iou"], names)
    print(f"clicks up to IoU {args.iou:g}, {1000 * scores['seconds']:.0f} ms each (median)")


def _print_row(start: str, ious: Sequence[float | None], names: Sequence[str]) -> None:
    cells = [
        f"{'-' if iou is None else format(iou, '.3f'):>{len(name)}}"
        for iou, name in zip(ious, names[1:], strict=True)
    ]
    print("  ".join([start, *cells]))
