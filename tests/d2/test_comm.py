import atexit
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from tests.d2.engine import engine_module
from vps_d2.d2 import ENGINE
from vps_d2.d2.data.samplers import InferenceSampler
from vps_d2.d2.engine import launch
from vps_d2.d2.utils import comm
from vps_d2.d2.utils.logger import setup_logger
from vps_d2.d2.utils.registry import Registry

PathManager = engine_module("utils.file_io").PathManager


def test_a_single_process_speaks_to_itself() -> None:
    assert (comm.get_rank(), comm.get_world_size(), comm.is_main_process()) == (0, 1, True)
    comm.synchronize()
    assert comm.gather("a") == comm.all_gather("a") == ["a"]


def _report(folder: str, other: str) -> None:
    """Use every function of ``comm`` in one of two processes, and write down what came of it."""
    rank = comm.get_rank()
    report = {
        "world": comm.get_world_size(),
        "main": comm.is_main_process(),
        "gathered": comm.gather({"rank": rank}),
        "all_gathered": comm.all_gather(f"{other}{rank}"),
        "inference": list(InferenceSampler(5)),
    }
    comm.synchronize()
    (Path(folder) / f"{rank}.json").write_text(json.dumps(report))


@pytest.mark.usefixtures("forked_launch")
def test_launch_of_two_processes(tmp_path: Path) -> None:
    if torch.cuda.is_available() and torch.cuda.device_count() < 2:
        pytest.skip("with one GPU, two processes cannot have one each")
    launch(_report, 2, dist_url="auto", args=(str(tmp_path), "x"))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["world"] == second["world"] == 2
    assert (first["main"], second["main"]) == (True, False)
    assert first["gathered"] == [{"rank": 0}, {"rank": 1}] and second["gathered"] == []
    assert first["all_gathered"] == second["all_gathered"] == ["x0", "x1"]
    assert (first["inference"], second["inference"]) == ([0, 1, 2], [3, 4])


def _train_in_a_cycle(folder: str) -> None:
    """Gather, train a model across processes, and write down the threads left when Python exits."""
    rank = comm.get_rank()
    comm.gather(rank)
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    model(torch.ones(1, 1)).sum().backward()
    model.trainer = {"model": model}  # as a trainer and its hooks refer to each other
    atexit.register(_write_threads, Path(folder) / str(rank))


def _write_threads(path: Path) -> None:
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    path.write_text("".join(names))


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 keeps its group of processes")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads the threads in /proc")
@pytest.mark.skipif(torch.cuda.is_available(), reason="it is about Gloo, for processes on the CPU")
def test_no_thread_outlives_a_launch(tmp_path: Path) -> None:
    """A thread that still runs when Python exits can abort the process."""
    launch(_train_in_a_cycle, 2, dist_url="auto", args=(str(tmp_path),))
    for rank in ("0", "1"):
        threads = (tmp_path / rank).read_text()
        assert threads and "gloo" not in threads


def test_launch_of_one_process_stays_here() -> None:
    called: list[Any] = []
    launch(called.append, 1, args=("here",))
    launch(called.append, 0, args=("on the CPU",))
    assert called == ["here", "on the CPU"]


def test_seed() -> None:
    def draw() -> tuple[float, float]:
        return float(np.random.rand()), float(torch.rand(()))

    seed_all_rng = engine_module("utils.env").seed_all_rng
    seed_all_rng(3)
    first = draw()
    seed_all_rng(3)
    assert draw() == first
    seed_all_rng()
    assert draw() != first


def test_path_manager(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "b")
    PathManager.mkdirs(folder)
    with PathManager.open(f"{folder}/file.txt", "w") as file:
        file.write("text")
    assert PathManager.isfile(f"{folder}/file.txt") and PathManager.ls(folder) == ["file.txt"]
    assert PathManager.get_local_path(f"{folder}/file.txt") == f"{folder}/file.txt"


def test_logger_writes_once_to_terminal_and_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        logger = setup_logger(str(tmp_path), name="d2_test_logger")
    logger.info("first message")
    logging.getLogger("d2_test_logger.child").warning("second message")
    shown = capsys.readouterr().out
    written = (tmp_path / "log.txt").read_text()
    for text in (shown, written):
        assert text.count("first message") == text.count("second message") == 1
    assert "WARNING" in written


def test_log_file_of_another_rank(tmp_path: Path) -> None:
    logger = setup_logger(str(tmp_path / "run.txt"), 2, name="d2_test_rank")
    logger.info("message")
    assert "message" in (tmp_path / "run.txt.rank2").read_text()


def test_registry() -> None:
    registry = Registry("THINGS")

    @registry.register()
    class Thing:
        pass

    assert registry.get("Thing") is Thing and "Thing" in registry
    with pytest.raises(KeyError, match="Other"):
        registry.get("Other")
    with pytest.raises(AssertionError):
        registry.register(Thing)
