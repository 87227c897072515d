"""Time the generator, the loader, the models and the pipeline on this machine."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import CommandParser, parse_positive
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line
from vps_d2.io.files import check_output, write_json

if TYPE_CHECKING:
    from vps_d2.evaluation.benchmark import Figure

EPILOG = """examples:
  vps-d2 benchmark --quick
  vps-d2 benchmark --only segmenter --segmenter configs/unet/unet_frames.yaml --batch-size 22
  vps-d2 benchmark --only segment memory
  vps-d2 benchmark --only annotate
  vps-d2 benchmark --only vos --stcn-code STCN
  vps-d2 benchmark --only export --threads 2

"segment" is vps-d2 segment --model vps on one clip, and "memory" the growth of its memory from 100
to 10,000 frames. "vos" is each part of following 1 and 3 objects at 240x427 pixels, in float32,
with the small network and with STCN. "annotate" is the page of vps-d2 annotate on clips of 100 and
10,000 frames of 480 rows. "export" is the shipped models in ONNX Runtime, beside PyTorch in
float32; ONNX Runtime uses the instructions that it finds, also those that PyTorch is kept from.
"scale" is label and make-synthetic in 1, 2 and 4 processes, the start and the memory of label,
predict and segment on 100 and 100,000 videos, and reading from folders, a tar file and video files.
These five take minutes, and are only measured if they are named.
"""
PARTS = ("generator", "loader", "predictor", "segmenter", "mask_predictor", "pipeline", "segment")
LONG_PARTS = ("memory", "vos", "annotate", "export", "scale")
CONFIGS = {
    "predictor": "configs/simvp/simvp_gsta_11to11.yaml",
    "segmenter": "configs/mask_rcnn/mask_rcnn_R50w32_FPN_frames.yaml",
    "mask-predictor": "configs/object_dynamics/object_dynamics.yaml",
}


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of labeled videos (default: generated ones)",
    )
    add(
        "--only",
        nargs="+",
        choices=PARTS + LONG_PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"parts to measure, of {', '.join(PARTS + LONG_PARTS)} (default: all but the last 5)",
    )
    for name, config in CONFIGS.items():
        add(
            f"--{name}",
            default=config,
            metavar="FILE",
            help=f"config of the {name.replace('-', ' ')} (default: %(default)s)",
        )
    add("--device", help="of the models, such as cpu (default: cuda if PyTorch sees a GPU)")
    add(
        "--threads", type=parse_positive, metavar="N", help="of PyTorch (default: one on each core)"
    )
    add(
        "--batch-size",
        type=parse_positive,
        default=4,
        metavar="N",
        help="videos or frames at a time (default: 4)",
    )
    add(
        "--stcn-code",
        type=Path,
        metavar="DIR",
        help="checkout of the public code of STCN (github.com/hkchengrex/STCN), to time it on the "
        "CPU beside ours with vos",
    )
    add("--quick", action="store_true", help="repeat once instead of five times")
    add(
        "--json",
        type=Path,
        default=Path("output/benchmark.json"),
        metavar="FILE",
        help="JSON file for the figures (default: %(default)s)",
    )
    return parser.parse_args(argv)


def generate(folder: Path, count: int) -> None:
    """Make labeled videos in one process.

    Raises:
        UserError: if the generator fails.
    """
    splits = ["--train", str(count), "--val", "0", "--unlabeled", "0", "--hidden", "0"]
    command = [sys.executable, "-m", "vps_d2", "make-synthetic", "--out", str(folder), *splits]
    done = subprocess.run(
        [*command, "--seed", "7", "--workers", "1"], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(
            f"vps-d2 make-synthetic failed ({done.stderr.strip()[-200:]}); fix that, or "
            "give --data and leave the generator out with --only."
        )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Measure, print and write JSON.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if the data, the device or a configuration is wrong.
    """
    args = parse_args(argv, prog)
    check_output(args.json)
    device = _prepare(args.device, args.threads)

    from vps_d2.evaluation.benchmark import describe_machine, format_table, to_report

    print(describe_machine(device), flush=True)
    figures = _measure(args, device)
    print(format_table(figures))
    write_json(args.json, to_report(figures, device))
    print_line(args.json)


def _prepare(device: str | None, threads: int | None) -> str:
    """Set the number of threads, and return the device, which is known to work."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise UserError(f"PyTorch finds no device {device} here; give --device cpu.") from error
    return device


def _measure(args: argparse.Namespace, device: str) -> "list[Figure]":
    from vps_d2.evaluation.benchmark import Benchmark, generator_figure

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None and set(args.only) - {"generator", "vos", "export"}:
            generate(Path(folder), 4)
        data = args.data or Path(folder, "train")
        parts = [part for part in PARTS[1:-1] if part in args.only]
        if parts:  # before anything is measured: it checks the configurations
            benchmark = Benchmark(
                *(data, args.predictor, args.segmenter, args.mask_predictor),
                device=device,
                repeats=1 if args.quick else 5,
                batch_size=args.batch_size,
            )
        if "generator" in args.only:
            count = 4 if args.quick else 12
            figures.append(generator_figure(generate, 1 if args.quick else 3, count))
        for part in parts:
            figures += getattr(benchmark, part)()
        if {"segment", "memory"} & set(args.only):
            figures += _measure_segmentation(args, data, device)
        if "vos" in args.only:
            figures += _measure_vos(args, device)
        if "annotate" in args.only:
            figures += _measure_page(args, data, device)
        if "export" in args.only:
            figures += _measure_exported(args)
        if "scale" in args.only:
            figures += _measure_scale(args, data)
    return figures


def _measure_scale(args: argparse.Namespace, data: Path) -> "list[Figure]":
    from vps_d2.data.video import find_videos
    from vps_d2.evaluation.scale_benchmark import measure_start, time_formats, time_processes

    folders, repeats = find_videos(data), 1 if args.quick else 3
    most = 10_000 if args.quick else 100_000
    return [
        *time_formats(folders, num_videos=20 if args.quick else 200, repeats=repeats),
        *measure_start(folders, counts=(100, most)),
        *time_processes(folders, num_videos=8 if args.quick else 80, repeats=repeats),
    ]


def _measure_exported(args: argparse.Namespace) -> "list[Figure]":
    from vps_d2.evaluation.export_benchmark import time_exported

    return time_exported(1 if args.quick else 10)


def _measure_page(args: argparse.Namespace, data: Path, device: str) -> "list[Figure]":
    from vps_d2.data.video import find_videos
    from vps_d2.web.timing import time_page

    return time_page(
        find_videos(data),
        num_frames=1_000 if args.quick else 10_000,
        repeats=5 if args.quick else 20,
        options=["--device", device],
    )


def _measure_segmentation(args: argparse.Namespace, data: Path, device: str) -> "list[Figure]":
    from vps_d2.data.video import find_videos
    from vps_d2.evaluation.benchmark import PRECISIONS
    from vps_d2.evaluation.segmentation_benchmark import measure_memory, time_segmentation

    figures: list[Figure] = []
    folders = find_videos(data)
    if "segment" in args.only:
        for precision in PRECISIONS:
            count = 100 if args.quick else 300
            figures += time_segmentation(
                folders, device=device, precision=precision, num_frames=count
            )
    if "memory" in args.only:
        count = 1_000 if args.quick else 10_000
        figures += measure_memory(folders, device=device, num_frames=count)
    return figures


def _measure_vos(args: argparse.Namespace, device: str) -> "list[Figure]":
    from vps_d2.evaluation.vos_benchmark import time_vos

    further = {}
    if args.stcn_code:
        from vps_d2.evaluation.public_stcn import PublicFollower

        further["public STCN"] = partial(PublicFollower, args.stcn_code)
    count, repeats = (16, 1) if args.quick else (31, 5)
    return time_vos(device=device, further=further, num_frames=count, repeats=repeats)
