"""Train a model, or evaluate a trained one, on the data sets that its config names."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from vps_d2.cli.arguments import CommandParser
from vps_d2.cli.plugins import add_import_option, import_parts
from vps_d2.io.errors import UserError

EPILOG = """examples:
  train:     vps-d2 train --config-file configs/simvp/simvp_gsta_11to11.yaml
  go on:     vps-d2 train --config-file configs/simvp/simvp_gsta_11to11.yaml --resume
  evaluate:  vps-d2 train --config-file configs/simvp/simvp_gsta_11to11.yaml \\
                 --eval-only MODEL.WEIGHTS output/simvp_gsta_11to11/model_best.pth

On two machines with 4 GPUs each, start it on both, with --num-gpus 4 --num-machines 2,
--machine-rank 0 or 1, and --dist-url tcp://FIRST_MACHINE:PORT. torchrun works, too, and on a
cluster vps-d2 slurm does all of this.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line, whose options are those of Detectron2's training tools."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="config of the model, YAML")
    add("--resume", action="store_true", help="go on from the last checkpoint of OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS instead of training")
    add(
        "--num-gpus",
        type=int,
        default=1,
        metavar="N",
        help="GPUs of this machine to use (default: 1)",
    )
    add("--num-machines", type=int, default=1, metavar="N", help="machines of the run (default: 1)")
    add(
        "--machine-rank",
        type=int,
        default=0,
        metavar="N",
        help="number of this machine, from 0 on (default: 0)",
    )
    # Each user of a machine gets a different port.
    user = os.getuid() if hasattr(os, "getuid") else 1
    add(
        "--dist-url",
        default=f"tcp://127.0.0.1:{2**15 + 2**14 + user % 2**14}",
        metavar="URL",
        help="address where the processes meet (default: %(default)s)",
    )
    add_import_option(parser)
    parser.add_overrides()
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> Any:
    """Train, or only evaluate, in one process of a run.

    Returns:
        the scores of the last evaluation; None if there was none.
    """
    import vps_d2.evaluation  # noqa: F401  registers the evaluators
    from vps_d2.engine.processes import end_together
    from vps_d2.engine.setup import setup
    from vps_d2.engine.trainer import Trainer
    from vps_d2.modeling.checkpoint import SafeCheckpointer

    import_parts(args.imports)  # in every process
    with end_together(), setup(args) as cfg:
        if args.eval_only:
            model = Trainer.build_model(cfg)
            SafeCheckpointer(model, cfg.OUTPUT_DIR, strict=True).resume_or_load(
                cfg.MODEL.WEIGHTS, resume=args.resume
            )
            return Trainer.test(cfg, model)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Read the command line, and run in as many processes as it asks for.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a number of GPUs or machines is impossible, or the configuration is wrong.
    """
    args = parse_args(argv, prog)
    _check_processes(args)

    from vps_d2.d2.engine import launch
    from vps_d2.engine.processes import is_launched, run_launched, spawn_errors

    if is_launched():
        if args.num_gpus > 1 or args.num_machines > 1:
            raise UserError(
                "torchrun has started the processes already; leave out --num-gpus and "
                "--num-machines."
            )
        run_launched(run, args)
        return
    with spawn_errors():
        launch(
            run,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )


def _check_processes(args: argparse.Namespace) -> None:
    several = int(args.num_machines > 1)  # each of several machines needs a GPU
    for option, value, is_met, words in (
        ("--num-machines", args.num_machines, args.num_machines >= 1, "1 or more"),
        (
            "--machine-rank",
            args.machine_rank,
            0 <= args.machine_rank < args.num_machines,
            f"0 or more, and less than --num-machines, {args.num_machines}",
        ),
        ("--num-gpus", args.num_gpus, args.num_gpus >= several, f"{several} or more"),
    ):
        if not is_met:
            raise UserError(f"{option} is {value}; give {words}.")
    if args.num_gpus <= 1:
        return

    import torch

    if args.num_gpus > torch.cuda.device_count():
        raise UserError(
            f"--num-gpus is {args.num_gpus}, but PyTorch sees {torch.cuda.device_count()} GPUs; "
            "ask for no more than that."
        )
