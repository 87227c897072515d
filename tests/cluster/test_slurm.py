"""``vps-d2 slurm`` on a real Slurm, where one can be started; see tests/cluster/slurm.py."""

import filecmp
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cluster import slurm
from tests.cluster.slurm import Cluster, wait
from tests.helpers import ROOT
from vps_d2.cli.make_synthetic import main as make_synthetic
from vps_d2.cli.slurm import main
from vps_d2.cluster.records import RunFolder
from vps_d2.io.errors import UserError

pytest.importorskip("submitit", reason="submitit is not installed")
pytestmark = pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing())

SLOW = """
import time
from pathlib import Path
from vps_d2.engine.train_loop import AutocastTrainer

step = AutocastTrainer.run_step

def run_step(self):
    if not Path(__file__).with_name("go").exists():
        time.sleep(1.5)
    step(self)

AutocastTrainer.run_step = run_step
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not pytest's folder, whose path is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        cluster = Cluster(Path(folder))
        yield cluster
        cluster.end()


@pytest.fixture(autouse=True)
def environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster.config))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def status(output: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    main(["status", str(output)])
    return capsys.readouterr().out


def pid_of(folder: RunFolder, name: str) -> int:
    """Return the process of a job, once it runs."""
    wait(lambda: folder.state(name) == "running", f"{name} to run")
    return int(folder.attempts(name)[-1]["pid"])


def finished(cluster: Cluster, folder: RunFolder) -> bool:
    """Return whether a run is finished, and start jobs that wait for two minutes by Slurm's will.

    So long Slurm keeps jobs that came back into the queue.
    """
    for line in cluster.run("squeue", "-h", "-o", "%i %r").split("\n"):
        if line.endswith("BeginTime"):
            cluster.run("scontrol", "update", f"jobid={line.split()[0]}", "StartTime=now")
    return run_of(folder).get("state") == "finished"


def run_of(folder: RunFolder) -> dict[str, Any]:
    return folder.read_run() or {}


def test_a_wrong_partition_is_a_sentence(tmp_path: Path) -> None:
    arguments = ["--tasks", "2", "--partition", "nowhere", "make-tracks", "--videos", "1"]
    with pytest.raises(UserError, match=r"refuses the job \(.*partition.*\); check --partition"):
        main([*arguments, "--out", str(tmp_path)])


@pytest.mark.timeout(400)
def test_lost_tasks_are_run_again_and_joined(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The queue is full; then a task is killed, and the node of the other fails."""
    size = ["--height", "32", "--width", "48", "--workers", "1"]
    arguments = ["--train", "30", "--hidden", "2", *size]
    whole, out = tmp_path / "whole", tmp_path / "out"
    cluster.run("sbatch", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
    main(["--tasks", "2", "make-synthetic", "--out", str(out), *arguments])
    folder = RunFolder(out)
    array, join = run_of(folder)["jobs"]
    wait(lambda: "pending (Resources)" in status(out, capsys), "a full queue to be seen")
    with pytest.raises(UserError, match=f"is being written by the jobs {array}, {join}; wait"):
        main(["--tasks", "2", "make-synthetic", "--out", str(out), *arguments])
    blocker = str(int(array) - 1)
    cluster.run("scancel", blocker)
    killed, _ = (pid_of(folder, f"task_{index:04d}") for index in (0, 1))
    os.kill(killed, 9)
    wait(lambda: f"{array}_0" not in cluster.run("squeue", "-h", "-o", "%i"), "the end of the task")
    cluster.kill_node("n1")
    make_synthetic(["--out", str(whole), *arguments])
    wait(lambda: finished(cluster, folder), "the join")
    cluster.start_node("n1")

    (out / "slurm").rename(tmp_path / "records")
    different = filecmp.dircmp(whole, out)
    assert not different.left_only + different.right_only + different.diff_files
    names = [str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(whole, out, names, shallow=False) == (names, [], [])
    processes = json.loads((tmp_path / "records" / "run.json").read_text())["processes"]
    assert [attempt["job"] for attempt in processes["task_0001"]] == [f"{array}_1"] * 2
    assert [attempt["host"] for attempt in processes["task_0001"]] == ["n1", "n2"]
    again = processes["task_0000"][-1]
    assert again["state"] == "finished" and not again["job"].startswith(f"{array}_")
    assert again["seconds"] > 0 and again["device"] and again["cpus"] == 1


@pytest.mark.timeout(400)
def test_training_goes_on_after_preemption_and_a_time_limit(
    cluster: Cluster, tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "vps").symlink_to(tiny_videos)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    config = "configs/instant_test/unet_instant_test.yaml"
    train = ["train", "--config-file", config, "--import", str(plugin), "MODEL.DEVICE", "cpu"]
    train += ["SOLVER.MAX_ITER", "60", "SEED", "1", "SOLVER.CHECKPOINT_PERIOD", "1000"]
    train += ["TEST.PICTURE_PERIOD", "0", "OUTPUT_DIR"]
    main(["--nodes", "2", "--time", "60", *train, str(tmp_path / "broken")])
    folder = RunFolder(tmp_path / "broken")
    (job,) = run_of(folder)["jobs"]
    log = folder.logs / f"{job}_0_log.out"
    wait(lambda: log.exists() and "Starting training" in log.read_text(), "the first iteration")
    cluster.run("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null",
                "--wrap=true")  # fmt: skip

    def is_going_on() -> bool:
        return finished(cluster, folder) or log.read_text().count("Starting training") == 2

    wait(is_going_on, "training to go on")
    # Slurm looks at the time every 30 seconds; 60 iterations take longer.
    cluster.run("scontrol", "update", f"jobid={job}", "TimeLimit=2")
    wait(lambda: folder.state("rank_0000") == "stopped", "the time limit")
    cluster.run("scontrol", "update", f"jobid={job}", "TimeLimit=60")
    (tmp_path / "go").touch()
    main(["--local", "2", *train, str(tmp_path / "whole")])
    wait(lambda: finished(cluster, folder), "training")
    states = [each["state"] for each in folder.attempts("rank_0000")]
    assert states == ["stopped", "stopped", "finished"]
    assert {each["host"] for each in folder.attempts("rank_0001")} == {"n2"}
    whole, broken = (
        torch.load(tmp_path / name / "model_final.pth")["model"] for name in ("whole", "broken")
    )
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
