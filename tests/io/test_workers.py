import multiprocessing.synchronize
import os

import pytest

from vps_d2.data.synthetic.dataset import run_jobs
from vps_d2.io.workers import can_have_workers, count_cpus


def test_without_shared_memory_this_process_does_it_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert can_have_workers()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing.synchronize.Lock, "__init__", refuse)
    assert list(run_jobs(lambda job: job * 2, [1, 2, 3], 2)) == [2, 4, 6]
    assert "Read-only file system" in caplog.text


def test_a_job_of_slurm_has_its_own_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert count_cpus() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "")
    assert count_cpus() == os.cpu_count()
