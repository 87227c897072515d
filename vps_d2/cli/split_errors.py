"""Divide the error of a pipeline with ObjectDynamics by cause.

The causes are segmentation, motion without and after contact, drawing, and objects that the known
frames do not show. One cause after the other is repaired with the truth, and the gain is its share.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.files import check_output, write_json, write_text

EPILOG = """example:
  vps-d2 split-errors --config-file configs/pipeline/unet_object_dynamics.yaml \\
      --data datasets/vps/val --json output/errors.json --page output/errors.html
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="config of a pipeline with ObjectDynamics",
    )
    add("--data", type=Path, required=True, metavar="DIR", help="folder of labeled videos")
    add_import_option(parser)
    add("--json", type=Path, metavar="FILE", help="also write the figures to this JSON file")
    add(
        "--page",
        type=Path,
        metavar="FILE",
        help="also write a page of the worst videos, with each lost object and its cause, to this "
        "HTML file",
    )
    parser.add_overrides()
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Split the errors and print them.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file is missing or does not fit.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    from vps_d2.evaluation.error_page import NUM_VIDEOS, format_error_page
    from vps_d2.evaluation.error_split import format_split, split_errors
    from vps_d2.inference.future_masks import FutureMaskPredictor

    inputs = [args.config_file, args.data]
    for path in filter(None, (args.json, args.page)):
        check_output(path, inputs)
    pipeline = FutureMaskPredictor.from_config_file(args.config_file, args.opts)
    split = split_errors(pipeline, args.data, NUM_VIDEOS if args.page else 0)
    print(format_split(split.figures))
    if args.json:
        objects = [asdict(each) for each in split.objects]
        write_json(args.json, {**split.figures, "objects": objects}, inputs)
    if args.page:
        known = pipeline.num_known
        shown = (pipeline.taxonomy, known, pipeline.find_target(known))
        write_text(args.page, format_error_page(split, args.data, *shown))
