"""A Slurm cluster of two nodes on this machine, for tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
NODES = ("n1", "n2")

_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000
ReturnToService=2
SlurmdTimeout=5
MessageTimeout=4
KillWait=10
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=2
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10
"""


def missing() -> str:
    """Return why there can be no cluster, "" if there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"there is no {lacking[0]}; install slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "only root can start this Slurm"


class Cluster:
    """Starts and ends munged, slurmctld and two slurmd.

    Args:
        folder: for their files; its path must be short enough for a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "slurm.conf"
        for name in ("state", *NODES):
            (folder / name).mkdir()
        folder.chmod(0o755)
        host = socket.gethostname().split(".")[0]
        self.config.write_text(_CONFIG.format(host=host, folder=folder, ports=_free_ports()))
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key": key, "pid": folder / "munge.pid", "log": folder / "munge.log"}
        files["seed"] = folder / "munge.seed"
        options = [f"--{name}-file={path}" for name, path in files.items()]
        _run("munged", "--force", f"--socket={folder}/munge.socket", *options)
        self.environment = {**os.environ, "SLURM_CONF": str(self.config)}
        self.run("slurmctld")
        for node in NODES:
            self.start_node(node)
        wait(lambda: "2 idle" in self.run("sinfo", "-h", "-o", "%D %t"), "nodes", 30)

    def run(self, *words: str) -> str:
        """Run a program with this cluster's settings, and return what it prints."""
        return _run(*words, environment=self.environment)

    def start_node(self, node: str) -> None:
        """Start a node."""
        self.run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill a node with all that runs there."""
        keepers, others = [], []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                words = path.read_bytes().split(b"\0")
                files = [os.readlink(link) for link in path.with_name("fd").iterdir()]
                command = path.with_name("cmdline").read_bytes()
            except OSError:
                continue
            if f"SLURM_CONF={self.config}".encode() not in words:
                continue
            if command.startswith(b"slurmstepd") and f"{self.folder}/slurmd.{node}.log" in files:
                keepers.append(int(path.parent.name))
            elif f"SLURMD_NODENAME={node}".encode() in words:
                others.append(int(path.parent.name))
        # The keepers first, which would report that the others have ended.
        slurmd = int((self.folder / f"slurmd.{node}.pid").read_text())
        for pid in (slurmd, *keepers, *others):
            _kill(pid)

    def end(self) -> None:
        """End all jobs and programs."""
        self.run("scancel", "--user=root")
        wait(lambda: not self.run("squeue", "-h"), "the end of the jobs", 30)
        names = [f"slurmd.{node}" for node in NODES] + ["slurmctld", "munge"]
        files = [self.folder / f"{name}.pid" for name in names]
        pids = [int(path.read_text()) for path in files if path.exists()]
        for pid in pids:
            _kill(pid, signal.SIGTERM)
        wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the programs", 30)


def wait(condition: Callable[[], bool], what: str, seconds: float = 150) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} seconds for {what}"
        time.sleep(0.1)


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _run(*words: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def _free_ports() -> tuple[int, ...]:
    """Return a free port, and two that follow each other."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        if port < 65000:
            return port, port + 1, port + 2
