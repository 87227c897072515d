"""Measure mean and standard deviation of a data set's pixels, and write them as a config."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vps_d2.data.statistics import check_mean_std_file, compute_mean_std, write_mean_std


def main(argv: Sequence[str] | None = None) -> None:
    """Write MODEL.PIXEL_MEAN and MODEL.PIXEL_STD (R, G, B in 0-255) of some folders of videos.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if a folder holds no frame, a frame cannot be read, or --out is another config.
    """
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Other configs name the file as their _BASE_.",
        epilog="example: python tools/compute_mean_std.py --data datasets/vps/train "
        "--out configs/Base-Normalization.yaml",
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of video_<n> folders"
    )
    parser.add_argument("--out", type=Path, required=True, help="YAML to write")
    arguments = parser.parse_args(argv)
    check_mean_std_file(arguments.out)
    mean, std = compute_mean_std(arguments.data, progress=True)
    write_mean_std(arguments.out, mean, std, " and ".join(path.name for path in arguments.data))
    print(arguments.out.read_text(), end="")
    print(f"written to {arguments.out}")
