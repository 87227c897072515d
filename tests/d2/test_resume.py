"""A run that is killed resumes to the losses of an unbroken one, on whichever engine is in use."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from vps_d2.d2.config import get_cfg
from vps_d2.d2.engine import HookBase, TrainerBase
from vps_d2.engine.train_loop import AutocastTrainer
from vps_d2.modeling.checkpoint import SafeCheckpointer

hooks = engine_module("engine.hooks")
STEPS, PERIOD, SEED = 10, 3, 5


class Net(nn.Module):
    """A regression with dropout, so that its loss depends on PyTorch's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(SEED)
        self.layer = nn.Linear(4, 4)
        nn.init.normal_(self.layer.weight, generator=generator)
        nn.init.zeros_(self.layer.bias)

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        output = nn.functional.dropout(self.layer(batch), 0.5)
        return {"loss": (output - batch).square().mean(), "loss_size": output.abs().mean()}


class Stream:
    """Batch number ``p`` depends on ``p`` alone."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[torch.Tensor]:
        position = self.start
        while True:
            yield torch.randn(8, 4, generator=torch.Generator().manual_seed(position))
            position += 1


class Run(TrainerBase):
    """A whole run in ``folder``, which writes its losses to a file at once."""

    def __init__(self, folder: Path, precision: torch.dtype | None) -> None:
        super().__init__()
        cfg = get_cfg()
        cfg.merge_from_list(["SOLVER.MAX_ITER", STEPS, "SOLVER.STEPS", (7,)])
        cfg.merge_from_list(["SOLVER.WARMUP_ITERS", 4])
        net = Net()
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        self.loop = AutocastTrainer(net, Stream(), self.optimizer, precision=precision, seed=SEED)
        self.scheduler = engine_module("solver").build_lr_scheduler(cfg, self.optimizer)
        self.checkpointer = SafeCheckpointer(net, str(folder), run=self, loop=self.loop)
        self.log = folder / "losses.txt"
        self.register_hooks(
            [hooks.LRScheduler(), hooks.PeriodicCheckpointer(self.checkpointer, PERIOD)]
        )

    def run_step(self) -> None:
        self.loop.iter = self.iter
        self.loop.run_step()
        with self.log.open("a") as file:
            file.write(json.dumps([self.iter, self.storage.latest()["total_loss"][0]]) + "\n")

    def go(self, resume: bool = False) -> None:
        start = 0
        if resume and self.checkpointer.has_checkpoint():
            self.checkpointer.resume_or_load("", resume=True)
            start = self.iter + 1
            self.loop.data_loader = Stream(start)
        self.train(start, STEPS)

    def losses(self) -> dict[int, float]:
        return dict(json.loads(line) for line in self.log.read_text().splitlines())


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_run_that_failed_resumes(precision: torch.dtype | None, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    unbroken = Run(whole, precision)
    unbroken.go()

    class Failure(HookBase):
        def before_step(self) -> None:
            if self.trainer.iter == 5:
                raise KeyboardInterrupt

    failing = Run(broken, precision)
    failing.register_hooks([Failure()])
    with pytest.raises(KeyboardInterrupt):
        failing.go()
    (broken / "losses.txt").unlink()
    resumed = Run(broken, precision)
    resumed.go(resume=True)
    assert sorted(resumed.losses()) == [3, 4, 5, 6, 7, 8, 9]
    for step, loss in resumed.losses().items():
        assert loss == pytest.approx(unbroken.losses()[step], rel=1e-6)


def run_until_killed(folder: str) -> None:
    """Train, and be killed when half of the second checkpoint is written."""
    save = torch.save

    def save_half(data: dict[str, Any], file: IO[bytes]) -> None:
        if data["iteration"] < PERIOD:
            save(data, file)
            return
        file.write(b"PK\x03\x04 half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    Run(Path(folder), None).go()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_run_that_was_killed_while_saving_resumes(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    unbroken = Run(whole, None)
    unbroken.go()
    # A fork, where there are forks: it has imported all.
    process = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Process(
        target=run_until_killed, args=(str(broken),)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(broken.glob(".vps_d2-model_0000005.pth-*.tmp"))
    resumed = Run(broken, None)
    assert sorted(resumed.losses()) == [0, 1, 2, 3, 4, 5]
    resumed.go(resume=True)
    assert (broken / "model_final.pth").is_file()
    for step in range(STEPS):
        assert resumed.losses()[step] == pytest.approx(unbroken.losses()[step], rel=1e-6)
