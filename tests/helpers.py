"""Helpers that tests of several parts share."""

import importlib
import importlib.util
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.d2.engine import TrainerBase
from vps_d2.data import faults

ROOT = Path(__file__).resolve().parent.parent


_COMMANDS = {
    "train_net": "train",
    "infer_hidden": "predict",
    "label_unlabeled": "label",
    "generate_frames": "generate",
    "segment_video": "segment",
    "export_model": "export",
}


def load_tool(name: str) -> ModuleType:
    """Import the command that ``tools/<name>.py`` runs, so that a test can call its ``main``."""
    return importlib.import_module(f"vps_d2.cli.{_COMMANDS.get(name, name)}")


def check_dataset(folder: Path) -> tuple[int, list[faults.Fault]]:
    """Return how many videos of a data set are good, and every fault of the others."""
    found: list[faults.Fault] = []
    return faults.check_dataset(folder, found.append), found


def load_script(path: str) -> ModuleType:
    """Import a script that is in no package, by its path in the repository."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loop(TrainerBase):
    """Counts iterations, and can fail in one."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.fail_at = fail_at
        self.optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        self.scheduler: Any = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)

    def run_step(self) -> None:
        if self.iter == self.fail_at:
            raise RuntimeError("broken")
        self.optimizer.step()


class Scores:
    """An evaluation whose scores are given."""

    def __init__(self, loop: Loop, scores: list[float]) -> None:
        self.loop, self.scores, self.asked_at = loop, iter(scores), []

    def __call__(self) -> dict:
        self.asked_at.append(self.loop.iter)
        return {"masks": {"jaccard": next(self.scores), "per": {"cube": 1}}, "mse": 2}


@contextmanager
def output_in_memory() -> Iterator[None]:
    """Keep what is printed in memory: pytest's own files fall under a limit of file sizes, too."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def small_disk(size: int, folder: Path) -> Iterator[None]:
    """Lay a disk of about ``size`` bytes over an empty folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only an administrator of Linux can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def file_size_limit(size: int, _: Path | None = None) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="this system has no limits of file sizes")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def forget_pets() -> None:
    """Forget the file that two pages of the manual register their data sets in."""
    sys.modules.pop("register_pets", None)
    sys.path[:] = [path for path in sys.path if not path.endswith("pets")]
    importlib.invalidate_caches()
    for name in {"pets", "pets_frames"} & set(DatasetCatalog.list()):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
