"""How far the jobs of a run are: a line for each."""

import os
import platform
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from vps_d2.cluster.jobs import JOIN, shard_task
from vps_d2.cluster.queue import live_jobs
from vps_d2.cluster.records import DONE, FAILED, RunFolder
from vps_d2.io.errors import UserError

__all__ = ["status_lines"]

_TAIL_BYTES = 4000
_SHOWN = 100  # characters of a line of a log


def status_lines(output: Path) -> Iterator[str]:
    """Yield a line about a run, and one for each of its jobs.

    Args:
        output: folder of its results.

    Raises:
        UserError: if there was no run.
    """
    folder = RunFolder(output)
    run = folder.read_run()
    if run is None:
        raise UserError(
            f"{output} holds no run of vps-d2 slurm; give the folder of results of one."
        )
    live = live_jobs(run["jobs"])
    message = f": {run['message']}" if run.get("message") else ""
    numbers = ", ".join(run["jobs"]) or "none"
    yield f"{run['command']}, jobs {numbers}: {_run_state(run['state'], live)}{message}"
    names = [path.stem for path in sorted(folder.path.glob("rank_*.json"))]
    if run["tasks"]:
        names = [shard_task(index) for index in range(run["tasks"])] + [JOIN]
    for name in names:
        yield _describe(folder, name, live)


def _run_state(state: str, live: dict[str, str]) -> str:
    if state in (DONE, FAILED):
        return state
    if not live:
        return "ended without a result; run the same command again to go on"
    going = sum(words.startswith("running") for words in live.values())
    return f"{going} running, {len(live) - going} waiting"


def _describe(folder: RunFolder, name: str, live: dict[str, str]) -> str:
    """Return the line of a job."""
    attempts = folder.attempts(name)
    if not attempts:
        waits = sorted({words for words in live.values() if words.startswith("pending")})
        reasons = f": {', '.join(waits)}" if waits and name != JOIN else ""
        return f"  {name:<10} {'waiting' if live else 'not run'}{reasons}"
    last = attempts[-1]
    state, seconds = last["state"], last["seconds"]
    if state == "running":
        if _is_alive(last, live):
            begin = datetime.fromisoformat(last["started"])
            seconds = (datetime.now().astimezone() - begin).total_seconds()
        else:
            state = "died"
    elif state == "stopped":
        state = "stopped, goes on" if live else "stopped"
    words = last["message"]
    if not words and state != DONE:
        words = _last_line(folder.logs, last["job"])
    time = timedelta(seconds=round(seconds))
    tries = f", start {len(attempts)}" if len(attempts) > 1 else ""
    return f"  {name:<10} {state:<9} {last['host']:<8} {time}{tries}  {words[:_SHOWN]}".rstrip()


def _is_alive(attempt: dict[str, Any], live: dict[str, str]) -> bool:
    if attempt["job"] in live:
        return live[attempt["job"]].startswith("running")
    return attempt["host"] == platform.node() and Path("/proc", str(attempt["pid"])).exists()


def _last_line(logs: Path, job: str) -> str:
    """Return the last line, such as a bar of progress, of the logs of a job."""
    paths = [path for path in logs.glob(f"{job}_*_log.*") if path.stat().st_size]
    if not paths:
        return ""
    with max(paths, key=lambda path: path.stat().st_mtime).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else ""
