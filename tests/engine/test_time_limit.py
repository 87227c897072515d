"""Runs that end by the clock."""

from pathlib import Path

import pytest

from tests.engine.test_trainer import make_config
from vps_d2.d2.config import CfgNode
from vps_d2.engine import time_limit
from vps_d2.engine.trainer import Trainer


class Clock:
    """Time that passes by one second whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def run(folder: Path, seconds: float, resume: bool = False, **changes: object) -> Trainer:
    cfg: CfgNode = make_config(folder, amp=False)
    cfg.defrost()
    cfg.merge_from_list(
        [
            *("SOLVER.MAX_ITER", 1000, "SOLVER.MAX_MINUTES", seconds / 60),
            *("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR"),
        ]
    )
    cfg.merge_from_list([each for pair in changes.items() for each in pair])
    cfg.freeze()
    folder.mkdir(exist_ok=True)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume)
    trainer.train()
    return trainer


def test_a_run_ends_by_the_clock_with_all_that_belongs_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "time", Clock())
    trainer = run(tmp_path, 8.5)
    # The clock is looked at once before the loop, and once in each iteration.
    assert trainer.iter == trainer.max_iter == 8
    assert (tmp_path / "model_final.pth").is_file()
    assert (tmp_path / "model_best.pth").is_file()  # it was evaluated
    assert trainer.scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-6)
    again = run(tmp_path, 8.5, resume=True)
    assert again.iter == 8


def test_a_resumed_run_has_what_is_left_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "time", Clock())
    run(tmp_path, 3.5)
    # The checkpoint was written when three seconds had been used; then comes the limit of ten.
    assert run(tmp_path, 10.5, resume=True).iter == 9


def test_without_a_limit_the_iterations_count(tmp_path: Path) -> None:
    trainer = run(tmp_path, 0, **{"SOLVER.MAX_ITER": 2})
    assert trainer.iter == 2
