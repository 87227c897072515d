"""Files of every kind, changed at random: a sentence or a right result, and nothing else.

``make fuzz`` runs more of them: VPS_D2_FUZZ_CASES cases from VPS_D2_FUZZ_SEED on.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from tests.hostile.cases import write_valid_files

CASES = int(os.environ.get("VPS_D2_FUZZ_CASES", "100"))
SEED = int(os.environ.get("VPS_D2_FUZZ_SEED", "1"))
_PROCESSES = 2
_SILENCE = 90  # seconds without a verdict, after which a process hangs where no alarm reaches it

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs limits as Linux has them")


class Runner:
    """Runs a range of cases in processes one after another, until all have a verdict.

    Args:
        valid: folder of valid files.
        work: folder of this runner.
        cases: to be run.
    """

    def __init__(self, valid: Path, work: Path, cases: range) -> None:
        work.mkdir()
        self.valid, self.work, self.end, self.count = valid, work, cases.stop, len(cases)
        self.verdicts: list[dict[str, Any]] = []
        self.done = False
        for name in ("verdicts", "said"):
            (work / name).touch()
        self._start(cases.start)

    def _start(self, first: int) -> None:
        arguments = [self.valid, self.work, SEED, first, self.end - first]
        with (self.work / "failure").open("w") as failure:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.child", *map(str, arguments)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stderr=failure,
            )
        self.news = time.monotonic()

    def poll(self) -> bool:
        """Read new verdicts, go on behind a case that was fatal, and return whether all is done."""
        count = len(self.verdicts)
        lines = (self.work / "verdicts").read_text().splitlines()
        self.verdicts += map(json.loads, lines[len(self.verdicts) :])
        if len(self.verdicts) > count:
            self.news = time.monotonic()
        silent = time.monotonic() - self.news > _SILENCE
        self.done = len(self.verdicts) >= self.count
        if self.done or (self.process.poll() is None and not silent):
            return self.done
        # What is 1 is a fault of this test.
        assert silent or self.process.returncode != 1, (self.work / "failure").read_text()
        if silent or self.process.returncode:
            self._blame(f"crash ({self.process.returncode})" if not silent else "hang")
        return False

    def _blame(self, wrong: str) -> None:
        """Note a case that was the end of its process, and go on behind it."""
        self.process.kill()
        self.process.wait()
        number = int((self.work / "current").read_text())
        said = (self.work / "crash").read_text() + (self.work / "said").read_text(errors="replace")
        verdict: dict[str, Any] = {
            "case": number,
            "wrong": wrong,
            "said": said[-2000:],
            "ended": "",
            "seconds": 0,
        }
        self.verdicts.append({**verdict, "command": "", "file": ""})
        with (self.work / "verdicts").open("a") as file:
            file.write(json.dumps(self.verdicts[-1]) + "\n")
        if number + 1 < self.end:
            self._start(number + 1)


def test_files_that_are_changed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valid = tmp_path / "valid"
    valid.mkdir()
    monkeypatch.chdir(valid)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(valid / "data"))
    write_valid_files(valid)
    bounds = [CASES * part // _PROCESSES for part in range(_PROCESSES + 1)]
    runners = [
        Runner(valid, tmp_path / f"work_{number}", range(bounds[number], bounds[number + 1]))
        for number in range(_PROCESSES)
    ]
    try:
        while not all([runner.poll() for runner in runners]):
            time.sleep(0.1)
    finally:
        for runner in runners:
            runner.process.kill()
            runner.process.wait()
    verdicts = [verdict for runner in runners for verdict in runner.verdicts]
    assert sorted({verdict["case"] for verdict in verdicts}) == list(range(CASES))
    wrong = [verdict for verdict in verdicts if verdict["wrong"]]
    report = os.environ.get("VPS_D2_FUZZ_REPORT")
    if report:
        Path(report).write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts))
    assert not wrong, "\n\n".join(
        f"case {each['case']} of seed {SEED}: {each['wrong']}: {each['command']} ({each['file']})\n"
        f"{each['said']}"
        for each in wrong
    )
    # Cases that never reach a result would show nothing.
    assert sum(verdict["ended"] == "0" for verdict in verdicts) > CASES / 20
