"""Time the generator, the loader, both models and the pipeline on this machine."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from vps_d2.evaluation.benchmark import Benchmark, Figure, format_table, generator_figure, to_report
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_json

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("generator", "loader", "predictor", "segmenter", "mask_predictor", "pipeline")


def parse_device(text: str) -> str:
    """Read the name of a device that PyTorch has here."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise argparse.ArgumentTypeError(f"PyTorch has no {text} here; use cpu") from error
    return text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python tools/benchmark.py --quick --json output/benchmark.json",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    configs = ROOT / "configs"
    predictor = configs / "simvp" / "simvp_gsta_11to11.yaml"
    segmenter = configs / "mask_rcnn" / "mask_rcnn_R50w32_FPN_frames.yaml"
    mask_predictor = configs / "object_dynamics" / "object_dynamics.yaml"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--data", type=Path, help="folder of labeled videos; without it some are made")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    add("--predictor", type=Path, default=predictor, help="config file")
    add("--segmenter", type=Path, default=segmenter, help="config file")
    add("--mask-predictor", type=Path, default=mask_predictor, help="config file")
    add("--device", type=parse_device, default=device, help="of the models")
    add("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    add("--batch-size", type=int, default=4, help="videos or frames in a batch")
    add("--quick", action="store_true", help="repeat once instead of five times")
    add("--json", type=Path, default=Path("output/benchmark.json"), help="where figures go")
    args = parser.parse_args(argv)
    if args.threads < 1 or args.batch_size < 1:
        parser.error("--threads and --batch-size must be positive")
    return args


def generate(folder: Path, count: int) -> None:
    """Make labeled videos in one process.

    Raises:
        UserError: if the generator fails.
    """
    splits = ["--train", str(count), "--val", "0", "--unlabeled", "0", "--hidden", "0"]
    command = [sys.executable, str(ROOT / "tools" / "make_synthetic.py"), "--out", str(folder)]
    done = subprocess.run(
        [*command, *splits, "--seed", "7", "--workers", "1"], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(
            f"tools/make_synthetic.py failed ({done.stderr.strip()[-200:]}); put that right, or "
            "give --data and leave the generator out with --only."
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write JSON.

    Args:
        argv: arguments; None for those of the command line.

    Raises:
        UserError: if the data or a configuration is wrong.
    """
    args = parse_args(argv)
    check_output(args.json)
    torch.set_num_threads(args.threads)
    repeats = 1 if args.quick else 5
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None and set(args.only) != {"generator"}:
            generate(Path(folder), 4)
        parts = [part for part in PARTS if part in args.only and part != "generator"]
        if parts:  # before anything is measured: it checks the configurations
            benchmark = Benchmark(
                args.data or Path(folder, "train"),
                args.predictor,
                args.segmenter,
                args.mask_predictor,
                device=args.device,
                repeats=repeats,
                batch_size=args.batch_size,
            )
        if "generator" in args.only:
            count = 4 if args.quick else 12
            figures.append(generator_figure(generate, 1 if args.quick else 3, count))
        for part in parts:
            figures += getattr(benchmark, part)()
    print(format_table(figures))
    write_json(args.json, to_report(figures, args.device))
    print(args.json)
