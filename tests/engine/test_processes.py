"""Several processes train together, and end together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT
from vps_d2.d2.engine import launch
from vps_d2.d2.utils import comm
from vps_d2.engine.processes import end_together, spawn_errors
from vps_d2.io.errors import UserError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the processes are on the CPU")


def _end(how: str) -> None:
    """End process 1 while process 0 waits for it."""
    with end_together():
        if comm.get_rank() == 1:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise UserError("the sentence of process 1.")
        comm.synchronize()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("error", r"^the sentence of process 1\.$"),
        ("killed", r"^process 1 of the run was killed \(SIGKILL\), .*; go on with --resume\.$"),
    ],
)
@pytest.mark.timeout(100)  # to start them takes a while; they end at once
def test_processes_end_together_with_one_sentence(how: str, words: str) -> None:
    with pytest.raises(UserError, match=words), spawn_errors():
        launch(_end, 2, dist_url="auto", args=(how,))


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two hosts on this machine: namespaces with a cable between them."""
    names = [f"vps{os.getpid()}{letter}" for letter in "ab"]
    script = f"""
    ip netns add {names[0]} && ip netns add {names[1]} &&
    ip link add veth0 netns {names[0]} type veth peer name veth0 netns {names[1]} &&
    ip -n {names[0]} addr add 10.231.7.1/24 dev veth0 &&
    ip -n {names[1]} addr add 10.231.7.2/24 dev veth0 &&
    for name in {" ".join(names)}; do
        ip -n $name link set lo up && ip -n $name link set veth0 up || exit 1
    done
    """
    try:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no network namespaces can be made: {done.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["bash", "-c", f"ip netns del {name}"], capture_output=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are of Linux")
def test_two_hosts_train_together(hosts: list[str], tmp_path: Path, tiny_videos: Path) -> None:
    """As Detectron2's users do it: --num-machines, --machine-rank and --dist-url."""
    (tmp_path / "vps").symlink_to(tiny_videos)
    more = {"DETECTRON2_DATASETS": str(tmp_path), "GLOO_SOCKET_IFNAME": "veth0"}
    more["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "vps_d2", "train", "--num-machines", "2"]
    command += ["--dist-url", "tcp://10.231.7.1:29511"]
    command += ["--config-file", "configs/instant_test/simvp_instant_test.yaml"]
    config = [
        "MODEL.DEVICE",
        "cpu",
        "TEST.PICTURE_PERIOD",
        "0",
        "OUTPUT_DIR",
        str(tmp_path / "out"),
    ]
    processes = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, *command, "--machine-rank", str(rank), *config],
            env={**os.environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, host in enumerate(hosts)
    ]
    try:
        outputs = [process.communicate(timeout=150)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    lines = (tmp_path / "out" / "metrics.json").read_text().splitlines()
    assert any("frames/mse" in json.loads(line) for line in lines)
