"""Run cases one after another in a process with limits, and say what came of each.

Arguments: folder of valid files, folder to work in, seed, first case, number of cases. A line of
JSON for each case goes to ``verdicts`` in the working folder; ``current`` there is the case that
runs, for whoever finds this process dead.
"""

import faulthandler
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.hostile.cases import ARGUMENTS, KINDS, Kind, change_a_key, change_an_argument
from tests.hostile.mutations import mutate_bytes
from vps_d2.cli.main import main as run_main

_SECONDS = 25  # of the processor
_WAIT = 60  # seconds on the clock, more than that since the machine may be busy
_MEMORY = 2 << 30
_FILE_SIZE = 64 << 20


class _Hang(BaseException):
    """A case has taken too long."""


def _limit() -> None:
    """Let no case take all memory, fill the disk, or dump a core."""
    lines = Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + _MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_SIZE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def hang(*_: object) -> None:
        raise _Hang

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, hang)


def make_case(valid: Path, folder: Path, kind: Kind, random: Random | None) -> None:
    """Lay the valid files out in a folder, and change one of them, if there is a random."""
    shutil.copytree(valid, folder, copy_function=os.link, symlinks=True)
    if kind.begun:
        shutil.copytree(valid / kind.begun, folder / "out")
    if kind.file and random is not None:
        _change_file(folder / kind.file, kind, random)
    # Tracks are linked to by their folder.
    link = folder / "data/vps/tracks_train/tracks_00000.npy"
    link.unlink()
    link.symlink_to(folder / "tracks_00000.npy")


def _change_file(path: Path, kind: Kind, random: Random) -> None:
    content = path.read_bytes()
    try:
        content = kind.mutate(content, random)
    except Exception:  # what came out cannot be written in this form
        content = mutate_bytes(content, random)
    path.unlink()
    path.write_bytes(content)


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what is in a folder but for ``out``, and when it was changed."""
    found = {}
    for above, folders, files in os.walk(folder):
        if Path(above) == folder:
            folders[:] = [name for name in folders if name != "out"]
        for name in (*folders, *files):
            path = os.path.join(above, name)
            status = os.lstat(path)
            found[path] = (
                status.st_mode,
                *((status.st_size, status.st_mtime_ns) if name in files else ()),
            )
    return found


def run_case(folder: Path, words: list[str], logs: Path) -> tuple[object, str]:
    """Run the command of a case.

    Args:
        folder: of the case.
        words: of the command.
        logs: folder for what it says.

    Returns:
        the exit status, or the name of what it ended with, and what it said.
    """
    os.chdir(folder)
    for name in ("HOME", "TMPDIR", "VPS_D2_CACHE"):  # libraries keep things there
        os.environ[name] = str(logs)
    os.environ["DETECTRON2_DATASETS"] = str(folder / "data")
    kept = os.dup(1), os.dup(2)
    with open(logs / "said", "wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)
        signal.setitimer(signal.ITIMER_REAL, _WAIT)
        ended: object
        try:
            ended = run_main(words)
        except SystemExit as error:
            ended = error.code
        except _Hang:
            ended = "hang"
            traceback.print_exc()
        except BaseException as error:
            ended = type(error).__name__
            traceback.print_exc()
        finally:
            for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
                signal.setitimer(timer, 0)
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
    return ended, (logs / "said").read_text(errors="replace")


def judge(ended: object, said: str, result: str) -> str:
    """Return what is wrong with how a case ended, "" if nothing is."""
    if ended == "hang":
        return "hang"
    if ended not in (0, 1, 2) or "Traceback" in said:
        return "traceback"
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.strip()]
    if ended == 2:  # the command line is wrong
        return "" if ": error: " in lines[-1] and "\x1b" not in said else "no sentence"
    errors = [line for line in lines if line.startswith("error: ")]
    if ended == 1 and (len(errors) != 1 or errors[0] != lines[-1] or not lines[-1].endswith(".")):
        return "no sentence"
    if ended == 0 and (errors or result.startswith("bad")):
        return f"wrong result {result}"
    return ""


def look_at(out: Path) -> str:
    """Return a hash of predicted masks, or what is bad about them; "" where there are none."""
    import numpy as np

    path = out / "hidden_masks.npy"
    if not path.is_file():
        return ""
    masks = np.load(path)
    if masks.dtype != np.uint8 or masks.ndim != 3 or masks.max() > 48:
        return f"bad: {masks.dtype} {masks.shape} up to {masks.max()}"
    return hashlib.sha256(masks.tobytes()).hexdigest()


def main() -> None:
    """Run the cases that the command line names."""
    sys.dont_write_bytecode = True  # of what --import names
    valid, work = Path(sys.argv[1]), Path(sys.argv[2])
    seed, first, count = map(int, sys.argv[3:])
    # What takes long to import, and would be half imported if a case was stopped.
    for name in (
        *("torchmetrics.functional.image", "vps_d2.engine.trainer", "vps_d2.data.synthetic"),
        *("vps_d2.inference.video_propagation", "vps_d2.evaluation.video_objects"),
    ):
        importlib.import_module(name)
    _limit()
    right = look_at(valid / "result")
    with open(work / "verdicts", "a") as verdicts, open(work / "crash", "w") as crash:
        faulthandler.enable(crash)
        for number in range(first, first + count):
            random = Random(f"{seed} {number}")
            # At first the valid files, which show that the rest would get somewhere.
            valid_case = number < len(KINDS)
            (kind,) = random.choices(KINDS, [each.weight for each in KINDS])
            kind = KINDS[number] if valid_case else kind
            (work / "current").write_text(str(number))
            folder = work / "case"
            shutil.rmtree(folder, ignore_errors=True)
            make_case(valid, folder, kind, None if valid_case else random)
            before, start = snapshot(folder), time.monotonic()
            words = kind.command.split()
            if not words:
                words = ARGUMENTS[0].split() if valid_case else change_an_argument(random)
            elif not kind.file and not valid_case:
                words += change_a_key(random)
            ended, said = run_case(folder, words, work)
            seconds = time.monotonic() - start
            result = look_at(folder / "out") if ended == 0 else ""
            if kind.damage_shows and ended == 0 and result != right:
                result = "bad: not that of the valid file"
            wrong = judge(ended, said, result)
            if valid_case and ended != 0:
                wrong = "valid files are refused"
            if not wrong and snapshot(folder) != before:
                wrong = "outside"
            verdict = {
                "case": number,
                "file": kind.file,
                "command": " ".join(words)[:300],
                "wrong": wrong,
            }
            verdict |= {"ended": str(ended), "seconds": round(seconds, 2), "said": said[-3000:]}
            verdicts.write(json.dumps(verdict) + "\n")
            verdicts.flush()
            if wrong:
                shutil.copytree(folder, work / f"case_{number}", symlinks=True)


if __name__ == "__main__":
    main()
    os._exit(0)  # threads and processes that a case left would be waited for
