"""What is written beside the results of a run on a cluster: what ran where, how long, and on what.

``OUTPUT/slurm/run.json`` describes the run. While it is going on, each of its jobs keeps a record
of its own, ``OUTPUT/slurm/<job>.json``, so that no two machines write one file; at the end all of
them are in ``run.json``.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from vps_d2 import __version__
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_json

__all__ = ["DONE", "FAILED", "Attempt", "RunFolder"]

DONE, FAILED = "finished", "failed"
"""States of a job. Others are "running", "stopped" (it goes on later) and "died"."""
_RUN, _FOLDER, _LOGS = "run.json", "slurm", "logs"


@dataclass(frozen=True)
class Attempt:
    """One start of a job.

    Args:
        job: its number, as Slurm gives it.
        host: name of the machine.
        pid: of the process.
        device: that PyTorch computes on.
        cpus: threads of PyTorch.
        started: time, ISO 8601.
        state: see :data:`DONE`.
        seconds: that it ran.
        message: why it failed or died, else "".
    """

    job: str
    host: str
    pid: int
    device: str
    cpus: int
    started: str
    state: str = "running"
    seconds: float = 0.0
    message: str = ""


class RunFolder:
    """The records of the run whose results are in a folder.

    Args:
        output: the folder of the results.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.absolute() / _FOLDER
        self.logs = self.path / _LOGS

    def read_run(self) -> dict[str, Any] | None:
        """Return what ``run.json`` says; None if there was no run.

        Raises:
            UserError: if it cannot be read.
        """
        try:
            run = read_json(self.path / _RUN)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            run = None
        keys = {"command", "arguments", "tasks", "jobs", "state"}
        if not isinstance(run, dict) or not keys <= set(run):
            raise UserError(f"{self.path / _RUN} is damaged; remove the folder {self.path}.")
        return run

    def start(self, command: str, arguments: list[str], tasks: int, options: Any) -> None:
        """Record a new run, and forget an earlier one."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for path in self.path.glob("*.json"):
            path.unlink()
        content = {"program": f"vps_d2 {__version__}", "command": command, "arguments": arguments}
        more = {"tasks": tasks, "options": options, "submitted": _now(), "state": "submitted"}
        self._write(_RUN, {**content, **more, "jobs": []})

    def add_jobs(self, jobs: list[str]) -> None:
        """Record the numbers of jobs that were submitted."""
        run = self.read_run() or {}
        self._write(_RUN, {**run, "state": "submitted", "jobs": [*run.get("jobs", []), *jobs]})

    def finish(self, state: str, message: str = "") -> None:
        """Record the end of the run, with all that its jobs have recorded."""
        names = sorted(path.stem for path in self.path.glob("*.json") if path.name != _RUN)
        processes = {name: self.attempts(name) for name in names}
        more = {"state": state, "message": message, "ended": _now(), "processes": processes}
        self._write(_RUN, {**(self.read_run() or {}), **more})

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """Return the starts of a job, the last one at the end."""
        try:
            found = read_json(self.path / f"{name}.json")
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def state(self, name: str) -> str:
        """Return the state of a job; "" if it has not started."""
        attempts = self.attempts(name)
        return attempts[-1]["state"] if attempts else ""

    @contextmanager
    def recorded(self, name: str, job: str) -> Iterator[None]:
        """Record what is done in this context: when it starts, and how it ends.

        A :class:`UserError`, which would come again, is a failure. After anything else the job has
        died, and may be run again; so it has if it does not come back from here.

        Args:
            name: of the job within the run.
            job: its number.
        """
        before, begin = self.attempts(name), time.monotonic()
        host = os.environ.get("SLURMD_NODENAME", platform.node())
        attempt = Attempt(*(job, host, os.getpid(), _device(), torch.get_num_threads(), _now()))

        def write(**changes: Any) -> None:
            changes["seconds"] = round(time.monotonic() - begin, 1)
            self._write(f"{name}.json", [*before, {**vars(attempt), **changes}])

        write()
        try:
            yield
        except UserError as error:
            write(state=FAILED, message=str(error))
            raise
        except Exception as error:
            write(state="died", message=f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            write(state="stopped")
            raise
        write(state=DONE)

    def _write(self, name: str, content: Any) -> None:
        write_json(self.path / name, content)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
