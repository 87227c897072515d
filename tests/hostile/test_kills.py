"""Commands that take long, killed at any moment; VPS_D2_FUZZ_KILLS says how often."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.hostile.cases import write_valid_files
from tests.hostile.kills import check_kills

KILLS = int(os.environ.get("VPS_D2_FUZZ_KILLS", "2"))
SEED = int(os.environ.get("VPS_D2_FUZZ_SEED", "1"))
_VIDEOS = "data/vps"
COMMANDS = {
    "predict": f"predict --config-file pipeline.yaml --input {_VIDEOS}/train --output out --resume "
    "--gif 1",
    "label": f"label --config-file unet.yaml --input {_VIDEOS}/unlabeled --output out "
    "--threshold 0 MODEL.WEIGHTS unet.pth",
    "generate": f"generate --config-file simvp.yaml --input {_VIDEOS}/val --output out "
    "MODEL.WEIGHTS simvp.pth",
    "make-synthetic": "make-synthetic --out out --train 2 --hidden 2 --height 32 --width 48 "
    "--workers 1",
    "make-tracks": "make-tracks --out out --videos 6 --workers 1",
    "segment": f"segment {_VIDEOS}/train/video_00000 --config-file unet.yaml --weights unet.pth "
    "--threshold 0 --output out --resume",
    "propagate": f"propagate {_VIDEOS}/train/video_00000 --mask 5=first.png --engine flow "
    "--output out --dataset out/labels --resume",
    "train": "train --config-file simvp.yaml --resume OUTPUT_DIR out TEST.EVAL_PERIOD 2 "
    "SOLVER.MAX_ITER 5 TEST.EVALUATORS ('FramePredictionEvaluator',)",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs processes as Linux has them")


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETECTRON2_DATASETS", str(folder / "data"))
        write_valid_files(folder)
    return folder


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_killed_command_makes_the_same_when_it_is_run_again(
    name: str, valid: Path, tmp_path: Path
) -> None:
    check_kills(COMMANDS[name], valid, tmp_path, kills=KILLS, seed=SEED)


def _children(process: subprocess.Popen) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _workers(process: subprocess.Popen) -> list[int]:
    """Return the worker processes of a run, once they work."""
    for _ in range(600):
        found = [pid for pid in _children(process) if b"spawn_main" in _command(pid)]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    raise AssertionError("no workers")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.parametrize(
    ("killed", "status"), [(None, 1), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_worker_outlives_or_hangs_a_run(
    killed: signal.Signals | None, status: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vps_d2", "make-tracks", "--out", str(tmp_path / "out")]
    command += ["--videos", "100000", "--workers", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        workers = _workers(process)
        if killed is None:
            os.kill(workers[0], signal.SIGKILL)
        else:
            process.send_signal(killed)
        _, said = process.communicate(timeout=30)
        assert process.returncode == status
        if killed is None:
            assert "error: a worker process died" in said
        assert "Traceback" not in said
        for _ in range(100):
            if not any(map(_is_running, workers)):
                break
            time.sleep(0.05)
        assert not any(map(_is_running, workers))
    finally:
        process.kill()
        process.wait()
