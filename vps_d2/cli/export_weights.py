"""Write the weights of checkpoints alone, in half precision, to share or ship them."""

import argparse
from collections.abc import Sequence

from vps_d2.io.checkpoints import export_weights

EPILOG = """example:
  python tools/export_weights.py --checkpoint output/simvp_gsta_11to11/model_final.pth \\
      --output output/simvp.pth
  python tools/export_weights.py --checkpoint output/simvp_gsta_11to11/model_000*.pth \\
      --output output/simvp_mean.pth

The file is a sixth of the size: no optimizer, and two bytes a weight. It loads wherever the
checkpoint does, as MODEL.WEIGHTS. Of several checkpoints the mean is written, which often does
better than the last.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Export weights.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if a file cannot be read or written.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, nargs="+", help="of a training run")
    parser.add_argument("--output", required=True, help="file to write, such as weights.pth")
    args = parser.parse_args(argv)
    size = export_weights(args.checkpoint, args.output)
    print(f"{args.output}: {size / 1e6:.1f} MB")
