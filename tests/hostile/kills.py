"""Kill a command at a random time, run it again, and look whether anything shows that it was."""

import importlib
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import torch

from vps_d2.cli.main import main as run_main

# A server with everything imported is forked for each run, so that a run takes no longer than its
# work does.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.hostile.kills", "vps_d2.cli.train", "vps_d2.engine.trainer"]
)

# What says when or on which way a run went, and not what it made.
_OF_THE_RUN = ("log.txt", "metrics.json", "events.out", "config.yaml", "left_out.txt")


def _run(words: Sequence[str], folder: Path) -> None:
    torch.set_num_threads(1)
    os.chdir(folder)
    os.environ["DETECTRON2_DATASETS"] = str(folder / "data")
    tracks = importlib.import_module("vps_d2.data.synthetic.tracks")
    tracks._FILE_SIZE = 2  # instead of 500, so that there are several
    propagation = importlib.import_module("vps_d2.inference.vos.propagation")
    propagation._MIN_PAUSE = 0.0  # instead of 10 seconds, so that there is a state to go on from
    with open("said", "a") as said, redirect_stdout(said), redirect_stderr(said):
        status = run_main(words)
    os._exit(status)


def _start(words: Sequence[str], folder: Path) -> multiprocessing.process.BaseProcess:
    process = _CONTEXT.Process(target=_run, args=(words, folder))
    process.start()
    return process


def _finish(words: Sequence[str], folder: Path) -> None:
    process = _start(words, folder)
    process.join(120)
    if process.exitcode is None:  # a process that hangs would be waited for at the end of all tests
        process.kill()
        process.join()
    said = (folder / "said").read_text()
    # A training run that is killed while it exits has nothing left to do, and says so.
    is_finished = "error: the run in OUTPUT_DIR out is finished" in said.splitlines()[-1]
    assert process.exitcode == 0 or is_finished, said[-3000:]


def _contents(out: Path) -> dict[str, bytes]:
    """Return what is in a folder, but for what tells of the run."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(_OF_THE_RUN)
    }


@contextmanager
def fresh_folder(valid: Path, folder: Path) -> Iterator[Path]:
    """Make a folder in which all of another one's files are at hand."""
    folder.mkdir()
    for path in valid.iterdir():
        (folder / path.name).symlink_to(path)
    yield folder


def check_kills(command: str, valid: Path, work: Path, *, kills: int, seed: int) -> None:
    """Kill a command at random times, and compare what it makes then with what it makes at once.

    Args:
        command: that writes to ``out``, and goes on where it was stopped.
        valid: folder of its files.
        work: folder to work in.
        kills: how often, each time after a run that began anew or, half of the times, went on.
        seed: of the times.
    """
    random, words = Random(f"{seed} {command}"), command.split()
    with fresh_folder(valid, work / "whole") as whole:
        _finish(words, whole)  # whatever is slow the first time
        (whole / "out").rename(whole / "first")
        start = time.monotonic()
        _finish(words, whole)
        seconds = time.monotonic() - start
        right = _contents(whole / "out")
    assert right
    done = 0
    while done < kills:
        with fresh_folder(valid, work / f"killed_{done}") as folder:
            for _ in range(random.choice((1, 2))):
                process = _start(words, folder)
                process.join(random.uniform(0, seconds))
                process.kill()
                process.join()
                done += 1
            _finish(words, folder)
            found = _contents(folder / "out")
            assert list(found) == list(right)
            assert [name for name in right if found[name] != right[name]] == []
