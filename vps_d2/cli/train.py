"""Train or evaluate any architecture of the project."""

import argparse
from collections.abc import Sequence
from typing import Any

import torch

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from vps_d2.d2.engine import default_argument_parser, launch
from vps_d2.engine.setup import setup
from vps_d2.engine.trainer import Trainer
from vps_d2.io.errors import UserError
from vps_d2.modeling.checkpoint import SafeCheckpointer

EXAMPLES = """examples:
  train:     tools/train_net.py --config-file configs/simvp/simvp_gsta_11to11.yaml
  go on:     tools/train_net.py --config-file configs/simvp/simvp_gsta_11to11.yaml --resume
  evaluate:  tools/train_net.py --config-file configs/simvp/simvp_gsta_11to11.yaml \\
                 --eval-only MODEL.WEIGHTS output/simvp/model_final.pth
"""


def run(args: argparse.Namespace) -> Any:
    """Train, or evaluate alone, in one process.

    Returns:
        the scores of the last evaluation, None if there was none.
    """
    cfg = setup(args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        SafeCheckpointer(model, cfg.OUTPUT_DIR, strict=True).resume_or_load(
            cfg.MODEL.WEIGHTS, resume=args.resume
        )
        return Trainer.test(cfg, model)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, and run in as many processes as it asks for.

    Raises:
        UserError: if a number of processes or machines cannot be, or the configuration is wrong.
    """
    parser = default_argument_parser(epilog=EXAMPLES)
    parser.description = __doc__
    args = parser.parse_args(argv)
    _check_processes(args)
    launch(
        run,
        args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )


def _check_processes(args: argparse.Namespace) -> None:
    several = int(args.num_machines > 1)  # of which each takes part
    for option, value, is_met, words in (
        ("--num-machines", args.num_machines, args.num_machines >= 1, "1 or more"),
        (
            "--machine-rank",
            args.machine_rank,
            0 <= args.machine_rank < args.num_machines,
            f"0 or more and less than --num-machines, {args.num_machines}",
        ),
        ("--num-gpus", args.num_gpus, args.num_gpus >= several, f"{several} or more"),
    ):
        if not is_met:
            raise UserError(f"{option} is {value}; give {words}.")
    if args.num_gpus > 1 and args.num_gpus > torch.cuda.device_count():
        raise UserError(
            f"--num-gpus is {args.num_gpus}, but PyTorch sees {torch.cuda.device_count()}; "
            "ask for no more than that."
        )
