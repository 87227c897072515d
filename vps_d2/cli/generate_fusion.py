"""Follow the objects of labeled videos before and after a correction, to train a fusion network."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.cli.arguments import CommandParser, parse_count, parse_positive
from vps_d2.cli.plugins import add_import_option, import_parts

EPILOG = """examples:
  vps-d2 make-vos-clips --out datasets/vos_clips --videos 100
  vps-d2 generate-fusion vos_clips --import my_data.py --out datasets/fusion
  vps-d2 train --import my_data.py --config-file configs/vos/small_fusion.yaml \\
      DATASETS.TRAIN "('fusion',)"

my_data.py registers both:
  register_davis("vos_clips", "datasets/vos_clips")
  register_fusion("fusion", "vos_clips", "datasets/fusion")

In each video, the objects are followed from a frame whose true masks are given; then one of the
worst frames is corrected, and they are followed from there back to the first. The masks of frames
in between, before and after the correction, are written where an object's two masks differ in 100
pixels or more. After an interruption the same command goes on.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="name of a data set that is registered")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the masks")
    add("--engine", metavar="NAME", help="what follows the objects (default: small)")
    add("--config-file", metavar="FILE", help="config of a model that the engine loads")
    add("--weights", metavar="FILE", help="weights of that config")
    add("--device", metavar="NAME", help="of PyTorch (default: a GPU if there is one, else cpu)")
    add(
        "--short-side",
        type=parse_positive,
        metavar="N",
        help="pixels of the shorter side of a frame (default: what suits the engine)",
    )
    for name, default, words in (
        ("pairs", 4, "pairs of given frames in a video"),
        ("targets", 6, "most frames of a pair whose masks are written"),
        ("reach", 50, "most frames from the first given one to the corrected one"),
        ("max-objects", 5, "most objects that are followed"),
    ):
        words = f"{words} (default: {default})"
        add(f"--{name}", type=parse_positive, default=default, metavar="N", help=words)
    add("--seed", type=parse_count, default=0, metavar="N", help="random seed (default: 0)")
    add_import_option(parser)
    parser.add_overrides()
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make the data of a fusion network.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the data set, the engine or an option is wrong, or the folder holds results of
            other settings or cannot be written.
    """
    args = parse_args(argv, prog)
    import_parts(args.imports)

    import vps_d2.data.vos.datasets  # noqa: F401  registers the built-in data set
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.fusion_data import FusionOptions, generate_fusion

    engine = find_vos_engine(
        *(args.engine, args.config_file, args.weights, args.opts), device=args.device
    )
    options = FusionOptions(
        seed=args.seed,
        pairs=args.pairs,
        targets=args.targets,
        reach=args.reach,
        max_objects=args.max_objects,
        short_side=args.short_side or engine.short_side,
    )
    written = generate_fusion(engine, args.dataset, args.out, options)
    print(f"{args.out}: wrote {written} videos")
