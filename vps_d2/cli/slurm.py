"""Run a command on a Slurm cluster: a training run, or shards of many videos."""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vps_d2.cli.arguments import CommandParser, parse_positive
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line
from vps_d2.io.shards import WHOLE

if TYPE_CHECKING:
    from vps_d2.cluster.records import RunFolder

SHARDED = {
    "segment": "output",
    "propagate": "output",
    "predict": "output",
    "label": "output",
    "generate": "output",
    "make-synthetic": "out",
    "make-tracks": "out",
    "make-vos-clips": "out",
}
"""Commands over many videos, which --tasks divides, and their option for the folder of results."""
_RESUMED = ("segment", "propagate", "predict", "train")

EPILOG = """examples:
  vps-d2 slurm --nodes 2 --gpus-per-node 4 --time 8:00:00 \\
      train --config-file configs/simvp/simvp_gsta_11to11.yaml
  vps-d2 slurm --tasks 32 --gpus-per-node 1 --partition gpu --time 2:00:00 \\
      label --config-file configs/unet/unet_frames.yaml --input datasets/vps/unlabeled \\
      --output datasets/vps/labeled MODEL.WEIGHTS package://unet.pth
  vps-d2 slurm status datasets/vps/labeled

The options of this command come first, then COMMAND and its own. COMMAND is train, or, with
--tasks, segment, propagate, predict, label, generate, make-synthetic, make-tracks or
make-vos-clips. With --local N it runs in N processes of this machine instead.

Training goes on by itself after a time limit or preemption. The tasks of the other commands are
joined by a last job, which first runs those that died again. The records and logs of a run are in
OUTPUT/slurm, and the same command goes on with a run that was cancelled or failed.
"""


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add("--tasks", type=parse_positive, metavar="N", help="shards of a command over many videos")
    add("--local", type=parse_positive, metavar="N", help="use N processes of this machine")
    add("--dry-run", action="store_true", help="print the scripts, and submit nothing")
    group = parser.add_argument_group("of each job")
    add = group.add_argument
    add("--partition", default="", metavar="NAME", help="of the cluster (default: its own)")
    add(
        "--time",
        type=parse_minutes,
        default=24 * 60,
        metavar="T",
        help="limit: minutes, H:M:S, D-H or D-H:M:S (default: 24:00:00)",
    )
    add("--mem", default="", metavar="SIZE", help="memory of a machine, such as 16G")
    add("--cpus-per-task", type=parse_positive, default=1, metavar="N", help="of a process")
    add("--nodes", type=parse_positive, default=1, metavar="N", help="machines of a training run")
    add("--gpus-per-node", type=parse_positive, default=0, metavar="N", help="of each machine")
    add(
        "--processes-per-node",
        type=parse_positive,
        metavar="N",
        help="of a training run (default: one for each GPU)",
    )
    add(
        "--requeue",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="put a job that was preempted, ran out of time or lost its machine back into the "
        "queue (default)",
    )
    add(
        "--sbatch",
        type=parse_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another option of sbatch, such as account=NAME (repeatable)",
    )
    parser.add_argument("command", metavar="COMMAND", choices=["status", "train", *SHARDED])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of COMMAND")
    return parser.parse_args(argv)


def parse_minutes(text: str) -> int:
    """Read a time as Slurm writes it, and return whole minutes."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if all(each.isdecimal() for each in [days or "0", *parts]) and len(parts) <= 3:
        numbers = list(map(int, parts))
        # H, H:M and H:M:S after a day; else M, M:S and H:M:S.
        scales = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
        seconds = 86400 * int(days or 0) + sum(a * b for a, b in zip(numbers, scales, strict=False))
        if seconds >= 60:
            return seconds // 60
    raise argparse.ArgumentTypeError(f"{text} is not a time of a minute or more, such as 8:00:00")


def parse_option(text: str) -> tuple[str, str]:
    """Read an option of sbatch, with or without the dashes before it."""
    key, sign, value = text.lstrip("-").partition("=")
    if key and sign and "\n" not in text:
        return key, value
    raise argparse.ArgumentTypeError(f"{text} is not KEY=VALUE, such as account=NAME")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Submit a command, or show how far it is.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if Slurm is missing or refuses the job, an option is wrong, or the folder of
            results is used by another run or cannot be written.
    """
    args = parse_args(argv, prog)
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError(
            'vps-d2 slurm needs submitit; install it with pip install "vps_d2[slurm]".'
        ) from error

    if args.command == "status":
        _show_status(args.arguments)
        return
    module = importlib.import_module(f"vps_d2.cli.{args.command.replace('-', '_')}")
    parsed = module.parse_args(args.arguments, prog=f"vps-d2 {args.command}")
    tasks = _count_tasks(args, parsed)
    output = _find_output(args.command, parsed)
    if args.command == "train" and not args.dry_run:
        _check_training(parsed)
    _submit(args, output, tasks, resume=not getattr(parsed, "eval_only", False))


def _show_status(arguments: Sequence[str]) -> None:
    from vps_d2.cluster.status import status_lines

    if len(arguments) != 1:
        raise UserError("status needs the folder of results of a run, and nothing else.")
    for line in status_lines(Path(arguments[0])):
        print_line(line)


def _count_tasks(args: argparse.Namespace, parsed: argparse.Namespace) -> int:
    """Return the number of shards, 0 for a training run."""
    if args.command == "train":
        if args.tasks:
            raise UserError("--tasks is for commands over many videos; leave it out to train.")
        return 0
    if getattr(parsed, "shard", WHOLE) != WHOLE:
        raise UserError("--shard is chosen for each task; leave it out, and give --tasks N.")
    if args.nodes > 1 or args.processes_per_node:
        raise UserError(
            f"--nodes and --processes-per-node are for train; to share {args.command} between "
            "machines, give --tasks N."
        )
    tasks: int = args.tasks or args.local or 0
    if not tasks:
        raise UserError(f"give --tasks N, the number of jobs that share {args.command}.")
    return tasks


def _find_output(command: str, parsed: Any) -> Path:
    if command == "train":
        from vps_d2.config.loading import load_config

        return Path(load_config(parsed.config_file, parsed.opts).OUTPUT_DIR)
    output: Path | None = getattr(parsed, SHARDED[command])
    if output is None:
        raise UserError(f"{command} needs --output, a folder that all machines share.")
    return output


def _check_training(parsed: argparse.Namespace) -> None:
    """Refuse to go on with a run unless that was asked for: the jobs themselves always do."""
    from vps_d2.config.loading import load_config
    from vps_d2.engine.setup import check_run

    if not parsed.eval_only:
        check_run(load_config(parsed.config_file, parsed.opts), parsed.resume)


def _submit(args: argparse.Namespace, output: Path, tasks: int, resume: bool) -> None:
    from vps_d2.cli.main import run_command
    from vps_d2.cluster.jobs import Command, Join
    from vps_d2.cluster.records import RunFolder
    from vps_d2.cluster.submit import LocalSubmitter, Resources, SlurmSubmitter
    from vps_d2.io.files import write_errors

    resources = Resources(
        name=f"vps-d2-{args.command}",
        partition=args.partition,
        minutes=args.time,
        nodes=args.nodes,
        processes=args.processes_per_node or (args.gpus_per_node if not tasks else 0) or 1,
        gpus=args.gpus_per_node,
        cpus=args.cpus_per_task,
        memory=args.mem,
        requeue=args.requeue,
        extra=dict(args.sbatch),
    )
    submitter = LocalSubmitter(resources, args.local) if args.local else SlurmSubmitter(resources)
    folder = RunFolder(output)
    if args.dry_run:
        print(submitter.describe(folder, tasks), end="")
        return
    submitter.check()
    command = Command(
        args.command,
        tuple(args.arguments),
        run_command,
        resumes=resume and args.command in _RESUMED,
        joins_itself=args.command == "predict",
    )
    with write_errors(folder.path):
        goes_on = _goes_on(folder, args.command, args.arguments, tasks)
        if not goes_on:
            folder.start(args.command, args.arguments, tasks, vars(resources))
        if tasks:
            join = Join(folder, command, tasks, submitter)
            submitter(join, join.missing())
        else:
            submitter.train(folder, command)
    if args.local:
        print_line(f"{output}: done; the records are in {folder.path}")
    else:
        jobs = " ".join((folder.read_run() or {})["jobs"])
        print_line(f"submitted jobs {jobs}; vps-d2 slurm status {output} shows how far they are")


def _goes_on(folder: "RunFolder", command: str, arguments: Sequence[str], tasks: int) -> bool:
    """Return whether a run is the one in a folder, which was not finished.

    Raises:
        UserError: if another run is in the folder, or this one is still going on.
    """
    from vps_d2.cluster.queue import live_jobs

    run = folder.read_run()
    if run is None or run["state"] == "finished":
        return False
    live = live_jobs(run["jobs"])
    if live:
        raise UserError(
            f"{folder.output} is being written by the jobs {', '.join(run['jobs'])}; wait until "
            "they end, or cancel them with scancel."
        )
    given, known = (
        [word for word in words if word != "--resume"] for words in (arguments, run["arguments"])
    )
    if (command, given) != (run["command"], known):
        raise UserError(
            f"{folder.output} holds an unfinished run of another command; run that again "
            f"({run['command']} {' '.join(known)}), or remove {folder.path} to start over."
        )
    if tasks != run["tasks"]:
        raise UserError(
            f"{folder.output} holds an unfinished run of {run['tasks']} tasks, not {tasks}; give "
            f"--tasks {run['tasks']} to go on, or remove {folder.path} to start over."
        )
    return True
