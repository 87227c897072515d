"""Several processes compute what one does, and end together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from tests.conftest import make_video
from tests.d2.engine import engine_module
from tests.helpers import ROOT
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data.samplers import InferenceSampler
from vps_d2.d2.engine import launch
from vps_d2.d2.utils import comm
from vps_d2.data.datasets import register_videos
from vps_d2.data.video import write_video
from vps_d2.engine.evaluators import build_evaluator
from vps_d2.engine.processes import end_together, spawn_errors
from vps_d2.engine.trainer import Trainer
from vps_d2.io.errors import UserError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the processes are on the CPU")


def _compute(videos: str, folder: str) -> None:
    """Train for an iteration and score made-up predictions, in each of the processes."""
    torch.set_num_threads(1)
    register_videos("videos_of_processes", videos)
    cfg = get_vps_cfg()
    cfg.merge_from_list(
        [
            *("MODEL.META_ARCHITECTURE", "ConvLSTM", "MODEL.DEVICE", "cpu"),
            *("MODEL.CONVLSTM.HIDDEN_CHANNELS", (4,), "INPUT.MAPPER", "FutureFramesMapper"),
            *("INPUT.NUM_INPUT_FRAMES", 3, "INPUT.NUM_TARGET_FRAMES", 2, "SEED", 7),
            *("MODEL.PIXEL_STD", [50.0, 50.0, 50.0], "DATALOADER.NUM_WORKERS", 0),
            *("DATASETS.TRAIN", ("videos_of_processes",), "SOLVER.IMS_PER_BATCH", 2),
            *("SOLVER.MAX_ITER", 1, "SOLVER.WARMUP_ITERS", 0, "OUTPUT_DIR", folder),
            *("TEST.EVALUATORS", ("FutureMaskEvaluator", "VOSEvaluator")),
        ]
    )
    engine_module("utils.env").seed_all_rng(7)
    trainer = Trainer(cfg)
    trainer._hooks = [hook for hook in trainer._hooks if "EvalHook" not in type(hook).__name__]
    trainer.train()
    scores = _score(cfg)
    model = trainer.checkpointer.model
    kept = {
        "gradients": {name: value.grad for name, value in model.named_parameters()},
        "scores": scores,
    }
    torch.save((kept, trainer.storage.latest()), Path(folder) / f"{comm.get_rank()}.pth")


def _score(cfg: Any) -> Any:
    """Return the scores of three made-up videos; each process sees a part of them."""
    evaluator = build_evaluator(cfg, "videos_of_processes")
    evaluator.reset()
    for number in InferenceSampler(3):
        rng = np.random.default_rng(number)
        truth, found = torch.from_numpy(rng.integers(0, 3, (2, 4, 8, 8)).astype(np.uint8))
        video = {"masks": truth[:1], "target_masks": truth[1:], "object_maps": truth}
        video["target_valid"] = torch.ones(3, dtype=torch.bool)
        evaluator.process([video], [{"mask": found[-1], "object_maps": found}])
    return evaluator.evaluate()


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for number in range(3):
        write_video(videos / f"video_{number:05d}", *make_video(number))
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        launch(_compute, count, dist_url="auto", args=(str(videos), str(tmp_path / str(count))))
    one, losses = torch.load(tmp_path / "1" / "0.pth", weights_only=False)
    two, their_losses = torch.load(tmp_path / "2" / "0.pth", weights_only=False)
    assert losses["total_loss"][0] == pytest.approx(their_losses["total_loss"][0], abs=1e-5)
    for name, value in one["gradients"].items():
        scale = float(value.abs().max())
        torch.testing.assert_close(two["gradients"][name], value, atol=1e-5 * scale, rtol=0)
    assert one["scores"]["future_mask"]["jaccard"] > 0.1
    assert one["scores"] == two["scores"]


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
