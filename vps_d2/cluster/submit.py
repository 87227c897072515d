"""Submitting the jobs of a run: to Slurm, or as processes of this machine."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import submitit
import torch
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import _make_sbatch_string

from vps_d2.cluster.jobs import Command, Join, ShardTask, TrainingTask
from vps_d2.cluster.records import RunFolder
from vps_d2.io.errors import UserError

__all__ = ["LocalSubmitter", "Resources", "SlurmSubmitter"]

_LONG = 365 * 24 * 60  # minutes, for a run without a limit
_MAX_REQUEUES = 1000
_JOB_ERROR = (
    "Slurm refuses the job ({reason}); check --partition, --time and the other options, or try "
    "again later if the queue is full."
)


@dataclass(frozen=True)
class Resources:
    """What each job asks Slurm for.

    Args:
        name: of the jobs.
        partition: "" for the default one.
        minutes: after which a job is stopped; with ``requeue`` it then goes on in a new job.
        nodes: machines of a training run.
        processes: of a training run on each machine.
        gpus: of each machine.
        cpus: of each process.
        memory: of each machine, such as "16G"; "" for the default of the partition.
        requeue: whether a job that was preempted, ran out of time or lost its machine is put into
            the queue again.
        warning: seconds before the end of the time at which the job is told.
        extra: further options of sbatch.
    """

    name: str
    partition: str = ""
    minutes: int = 24 * 60
    nodes: int = 1
    processes: int = 1
    gpus: int = 0
    cpus: int = 1
    memory: str = ""
    requeue: bool = True
    warning: int = 120
    extra: dict[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """Return them as submitit's Slurm executor takes them."""
        extra: dict[str, Any] = {"requeue" if self.requeue else "no-requeue": True, **self.extra}
        if self.memory:
            extra["mem"] = self.memory
        given: dict[str, Any] = {
            "job_name": self.name,
            "time": self.minutes,
            "nodes": self.nodes,
            "ntasks_per_node": self.processes,
            "cpus_per_task": self.cpus,
            "signal_delay_s": min(self.warning, self.minutes * 30),
            # One process that ends with an error ends the others, too.
            "srun_args": [f"--cpus-per-task={self.cpus}", "--kill-on-bad-exit=1"],
            "setup": [f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{self.cpus}}}"],
            "additional_parameters": extra,
        }
        if self.partition:
            given["partition"] = self.partition
        if self.gpus:
            given["gpus_per_node"] = self.gpus
        return given


class SlurmSubmitter:
    """Submits to Slurm.

    Args:
        resources: of each job.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def check(self) -> None:
        """Check that Slurm is here.

        Raises:
            UserError: if it is not.
        """
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise UserError(
                "there is no sbatch on this machine; run the command where Slurm's programs are "
                "installed, or give --local N to use this machine alone."
            )

    def train(self, folder: RunFolder, command: Command) -> None:
        """Submit a training run."""
        with self._submission(folder):
            job = self._executor(folder).submit(TrainingTask(folder, command))
        folder.add_jobs([job.job_id])

    def __call__(self, join: Join, indices: Sequence[int]) -> None:
        """Submit shards, and the job that joins them when all have ended."""
        folder = join.folder
        tasks = [ShardTask(folder, join.command, index, join.count) for index in indices]
        with self._submission(folder):
            executor = self._executor(folder)
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
            number = jobs[0].job_id.split("_")[0]
            # Without srun, so that it may submit jobs itself.
            last = self._executor(folder, dependency=f"afterany:{number}", use_srun=False)
            try:
                folder.add_jobs([number, last.submit(join).job_id])
            except BaseException:
                subprocess.run(["scancel", number], check=False)
                raise

    def describe(self, folder: RunFolder, tasks: int) -> str:
        """Return the scripts that would be submitted.

        Args:
            folder: of the records.
            tasks: number of shards; 0 for a training run.
        """
        python = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit"
        command = f"{python} {shlex.quote(str(folder.logs))}"
        given: dict[str, Any] = {
            "command": command,
            "folder": folder.logs,
            **self.resources.parameters(),
        }
        if not tasks:
            return _make_sbatch_string(**given)
        after: dict[str, Any] = {"dependency": "afterany:JOB", "use_srun": False}
        count: dict[str, Any] = {"map_count": tasks} if tasks > 1 else {}
        return "\n".join(
            [_make_sbatch_string(**given, **count), _make_sbatch_string(**given, **after)]
        )

    def _executor(self, folder: RunFolder, **more: Any) -> submitit.SlurmExecutor:
        executor = submitit.SlurmExecutor(folder.logs, max_num_timeout=_MAX_REQUEUES)
        executor.update_parameters(**self.resources.parameters(), **more)
        return executor

    @contextmanager
    def _submission(self, folder: RunFolder) -> Iterator[None]:
        """Keep what Slurm says of this job from the new ones, and its errors to one sentence."""
        config = {"SLURM_CONF": os.environ["SLURM_CONF"]} if "SLURM_CONF" in os.environ else {}
        try:
            with submitit.helpers.clean_env(), submitit.helpers.environment_variables(**config):
                yield
        except (FailedJobError, FailedSubmissionError) as error:
            lines = [line.strip() for line in str(error).splitlines() if "sbatch: " in line]
            reason = (lines or ["sbatch failed"])[-1].rpartition(": ")[2].rstrip(".")
            raise UserError(_JOB_ERROR.format(reason=reason)) from error


class LocalSubmitter:
    """Runs jobs as processes of this machine, and waits for them.

    Args:
        resources: of each job, of which only the time matters here.
        count: processes at a time.
    """

    def __init__(self, resources: Resources, count: int) -> None:
        self.resources, self.count = resources, count

    def check(self) -> None:
        """Do nothing: this machine is there."""

    def train(self, folder: RunFolder, command: Command) -> None:
        """Train in several processes.

        Raises:
            UserError: if one of them failed.
        """
        gpus = self.count if torch.cuda.device_count() >= self.count else 0
        executor = self._executor(folder, tasks_per_node=self.count, gpus_per_node=gpus)
        self._wait(folder, [executor.submit(TrainingTask(folder, command))])
        for rank in range(self.count):
            for attempt in folder.attempts(f"rank_{rank:04d}")[-1:]:
                if attempt["state"] == "failed":
                    raise UserError(attempt["message"])
        if (folder.read_run() or {}).get("state") != "finished":
            raise UserError(f"training has died; see {folder.logs}, and go on with --resume.")

    def __call__(self, join: Join, indices: Sequence[int]) -> None:
        """Run shards, wait for them, and join them."""
        folder, gpus = join.folder, torch.cuda.device_count()
        jobs = []
        for index in indices:
            task = ShardTask(folder, join.command, index, join.count)
            own = (index % gpus,) if gpus else ()
            executor = self._executor(folder, gpus_per_node=len(own), visible_gpus=own)
            jobs.append(executor.submit(task))
        self._wait(folder, jobs)
        join()

    def describe(self, folder: RunFolder, tasks: int) -> str:
        """Return what would be run."""
        return f"{self.count} processes of this machine, with logs in {folder.logs}\n"

    def _executor(self, folder: RunFolder, **more: Any) -> submitit.LocalExecutor:
        # As in a job of Slurm, each process has its share of the CPUs.
        share = str(max(1, (os.cpu_count() or 1) // self.count))
        os.environ.setdefault("SLURM_CPUS_PER_TASK", share)
        os.environ.setdefault("OMP_NUM_THREADS", share)
        executor = submitit.LocalExecutor(folder.logs, max_num_timeout=_MAX_REQUEUES)
        executor.update_parameters(timeout_min=_LONG, **more)
        return executor

    def _wait(self, folder: RunFolder, jobs: list[submitit.Job]) -> None:
        folder.add_jobs([job.job_id for job in jobs])
        for job in jobs:
            job.wait()
