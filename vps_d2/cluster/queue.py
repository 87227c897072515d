"""What Slurm says of jobs that have not ended."""

import shutil
import subprocess
from pathlib import Path

__all__ = ["live_jobs"]


def live_jobs(jobs: list[str]) -> dict[str, str]:
    """Return those of the jobs that wait or run, and what Slurm says of them, by their numbers.

    Args:
        jobs: numbers of jobs of Slurm, or of processes of this machine.
    """
    if not jobs:
        return {}
    if shutil.which("squeue") is None:
        return {job: "running" for job in jobs if Path("/proc", job).exists()}
    command = ["squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={','.join(jobs)}"]
    # Its exit status is that of an error if it has forgotten all of the jobs.
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")
    found = {}
    for job, state, reason in (line.split("|") for line in lines if line.count("|") == 2):
        found[job] = state.lower() if reason in ("None", "") else f"{state.lower()} ({reason})"
    return found
