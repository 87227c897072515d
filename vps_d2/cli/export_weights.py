"""Write the weights of checkpoints alone, in half precision, to share or ship them."""

import argparse
from collections.abc import Sequence

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.escape import print_line

EPILOG = """examples:
  vps-d2 export-weights --checkpoint output/simvp_gsta_11to11/model_final.pth \\
      --output output/simvp.pth
  vps-d2 export-weights --checkpoint output/simvp_gsta_11to11/model_000*.pth \\
      --output output/simvp_mean.pth

The file is a sixth of the size: it has no optimizer state, and two bytes per weight. It can be used
wherever the checkpoint can, as MODEL.WEIGHTS. The mean of several checkpoints often scores better
than the last one.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    parser.add_argument(
        "--checkpoint",
        required=True,
        nargs="+",
        metavar="FILE",
        help="checkpoint of a training run, or several to take the mean of",
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="file to write, such as weights.pth"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Export weights.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a file cannot be read or written.
    """
    args = parse_args(argv, prog)

    from vps_d2.io.checkpoints import export_weights

    size = export_weights(args.checkpoint, args.output)
    print_line(f"{args.output}: {size / 1e6:.1f} MB")
