"""What a job of a cluster runs; submitit pickles these objects and calls them on the machine.

submitit calls ``checkpoint`` at the signal that Slurm sends before the end of a job's time, or when
another job needs its place. The job is then put into the queue again, and goes on.
"""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import submitit

from vps_d2.cluster.queue import live_jobs
from vps_d2.cluster.records import DONE, FAILED, RunFolder
from vps_d2.engine.stopping import Stopped, stop_at
from vps_d2.io.errors import UserError

__all__ = ["JOIN", "Command", "Join", "ShardTask", "TrainingTask", "shard_task"]

JOIN = "join"
"""Name of the job that joins the shards."""
_MAX_ROUNDS = 3


@dataclass(frozen=True)
class Command:
    """A command with its arguments, and how it is run in parts.

    Args:
        name: of the command.
        arguments: of the command.
        run: runs it, given its name and arguments.
        resumes: whether it has ``--resume``; other commands go on without being told to.
        joins_itself: whether a shard joins the results if it is the last, so that there is no
            command for all of the work together.
    """

    name: str
    arguments: tuple[str, ...]
    run: Callable[[str, Sequence[str]], None]
    resumes: bool = False
    joins_itself: bool = False

    def __call__(self, *options: str, resume: bool = False) -> None:
        """Run it with more options, which come first."""
        more = ["--resume"] if resume and self.resumes else []
        self.run(self.name, [*options, *more, *self.arguments])


def _job_number() -> str:
    try:
        number: str = submitit.JobEnvironment().job_id
    except RuntimeError:  # the join of a run on this machine is no job
        return str(os.getpid())
    return number


class _Job(submitit.helpers.Checkpointable):
    """A job of a run.

    Args:
        folder: of the records.
        command: of the run.
    """

    def __init__(self, folder: RunFolder, command: Command) -> None:
        self.folder, self.command = folder, command

    def _until_stopped(self, work: Callable[[], None]) -> None:
        """Work until a signal says that the machine is taken away, and go on in a new job then.

        Slurm sends the signal of submitit some time before the job must end. Where it does not at
        preemption, it sends SIGTERM, as it does for scancel, after which a job no longer runs.
        """
        warning = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Any = signal.getsignal(warning)  # submitit's, which puts the job back
        with stop_at(warning, signal.SIGTERM) as stopped_by:
            try:
                work()
                return
            except (Stopped, Exception):
                # Others fail as well when a process that they wait for has stopped.
                number = stopped_by()
                if not number:
                    raise
        job = _job_number()
        if number == warning or live_jobs([job]).get(job, "").startswith("running"):
            requeue(number, None)
        raise SystemExit(0)


class ShardTask(_Job):
    """A shard of a command over many videos.

    Args:
        folder: of the records.
        command: of the run.
        index: of the shard.
        count: number of shards.
    """

    def __init__(self, folder: RunFolder, command: Command, index: int, count: int) -> None:
        super().__init__(folder, command)
        self.index, self.count = index, count

    def __call__(self) -> None:
        """Do the shard, or what is left of it."""
        name = shard_task(self.index)
        resume = bool(self.folder.attempts(name))
        with self.folder.recorded(name, _job_number()):
            options = ("--shard", f"{self.index}/{self.count}")
            self._until_stopped(lambda: self.command(*options, resume=resume))


def shard_task(index: int) -> str:
    """Return the name of the job of a shard."""
    return f"task_{index:04d}"


class TrainingTask(_Job):
    """One of the processes of a training run, whose checkpoints let it go on."""

    def __call__(self) -> None:
        """Train until the end, or until a signal says that the machine is taken away."""
        job = submitit.JobEnvironment()
        if job.num_tasks > 1:
            submitit.helpers.TorchDistributedEnvironment().export(False, overwrite=True)
            # The names of machines are not always known to each other.
            address = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
            os.environ["MASTER_ADDR"] = address
        with self.folder.recorded(f"rank_{job.global_rank:04d}", job.job_id):
            self._until_stopped(lambda: self.command(resume=True))
        if job.global_rank == 0:
            self.folder.finish(DONE)


class Join(_Job):
    """Joins the shards when all of them have ended, or has those that died run again.

    Args:
        folder: of the records.
        command: of the run.
        count: number of shards.
        submit: submits the shards of these indices, and another join after them.
        round: how often the shards were submitted.
    """

    def __init__(
        self,
        folder: RunFolder,
        command: Command,
        count: int,
        submit: Callable[["Join", list[int]], None],
        round: int = 1,
    ) -> None:
        super().__init__(folder, command)
        self.count, self.submit, self.round = count, submit, round

    def missing(self) -> list[int]:
        """Return the indices of the shards that are not finished."""
        return [i for i in range(self.count) if self.folder.state(shard_task(i)) != DONE]

    def again(self) -> "Join":
        """Return the join of the next round."""
        return Join(self.folder, self.command, self.count, self.submit, self.round + 1)

    def __call__(self) -> None:
        """Join the shards.

        Raises:
            UserError: if a shard failed, or died too often.
        """
        missing = self.missing()
        try:
            self._check(missing)
            if missing:
                self.submit(self.again(), missing)
                return
            with self.folder.recorded(JOIN, _job_number()):
                self._join()
        except UserError as error:
            self.folder.finish(FAILED, str(error))
            raise
        self.folder.finish(DONE)

    def _join(self) -> None:
        if self.command.joins_itself:
            self.command("--shard", f"0/{self.count}", resume=True)
        else:
            self.command(resume=True)

    def _check(self, missing: Sequence[int]) -> None:
        for index in missing:
            name = shard_task(index)
            if self.folder.state(name) == FAILED:
                sentence = self.folder.attempts(name)[-1]["message"]
                raise UserError(f"task {index} of {self.count} failed: {sentence}")
        if missing and self.round >= _MAX_ROUNDS:
            raise UserError(
                f"task {missing[0]} of {self.count} died {self.round} times, perhaps for lack of "
                f"memory or time; see {self.folder.logs}, and run the same command again to go on."
            )
