"""``vps-d2 annotate`` as a user calls it, and what is left when it is killed."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import ROOT, load_tool
from tests.inference.vos.stub import truth, write_clip
from tests.web.stub import GRAY_CLICK, RED_CLICK, post, wait_for_job, wait_until
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video

# It needs no PyTorch, so that the processes start at once.
ENGINE = """
import time
import numpy as np
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import register_vos_engine
from vps_d2.inference.vos.prompts import MaskMaker

class Maker(MaskMaker):
    source = "colors"
    def make_mask(self, picture, mask, strokes):
        x, y = strokes[-1].points[0]
        return np.abs(picture.astype(int) - picture[int(y), int(x)]).sum(2) < 60

class Slow(VOSEngine):
    source, license_note, mask_maker = "a mask that stays", "slow, but free.", Maker()
    def reset(self):
        self.map = None
    def remember(self, picture, object_map, permanent):
        self.map = object_map
    def segment(self, picture, objects):
        time.sleep(0.03)
        return np.stack([self.map == k for k in (0, *objects)]).astype(np.float32)
    def forget_frames(self):
        pass
    def fingerprint(self):
        return "slow"

register_vos_engine("slow")(lambda options: Slow())
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@contextmanager
def annotate(
    folder: Path, *arguments: object, engine: str = "slow"
) -> Iterator[tuple[Any, httpx.Client]]:
    """Run the command in a process, and return it and a client."""
    (folder / "engine.py").write_text(ENGINE)
    options = ["--no-browser", "--engine", engine, "--import", str(folder / "engine.py")]
    command = [sys.executable, "-m", "vps_d2", "annotate", *map(str, arguments), *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        try:
            word, _, address = process.stdout.readline().strip().partition(" ")
            assert word == "open", process.stderr.read()
            with httpx.Client(base_url=address, timeout=30) as client:
                yield process, client
        finally:
            process.kill()


def test_all_that_was_answered_is_there_after_kill_9(clip: Path, tmp_path: Path) -> None:
    with annotate(tmp_path, clip, "--session", tmp_path / "session") as (process, client):
        post(client, "strokes", frame=0, object=None, strokes=[RED_CLICK])
        post(client, "objects", name="dog")
        post(client, "propagate", direction="forward")
        wait_until(lambda: client.get("api/state").json()["job"]["done"] >= 4)
        frame = client.get("api/state").json()["job"]["frame"]
        process.kill()
        process.wait()
    with VOSSession(open_video(clip), tmp_path / "session") as session:
        assert session.objects == {1: "object", 2: "dog"} and session.given == {0: [1]}
        assert session.known_frames[: frame + 1] == list(range(frame + 1))
        assert len(session.known_frames) < 11
    with annotate(tmp_path, "--session", tmp_path / "session") as (process, client):
        state = client.get("api/state").json()
        assert state["unfinished"] == {"direction": "forward", "start": 0, "end": None}
        assert client.get("api/strokes/0").json()["1"][0]["points"] == RED_CLICK["points"]
        assert post(client, "resume")["total"] == 11
        assert wait_for_job(client)["state"] == "finished"
        row = client.get("api/timeline").json()["objects"]["1"]
        assert row == {"touched": [0], "runs": [[1, 11, "propagated"]]}
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        said = process.stderr.read()
        assert "slow, but free." in said and f"stopped; {tmp_path / 'session'} has all" in said
        assert "Traceback" not in said
    with VOSSession(open_video(clip), tmp_path / "session") as session:
        assert ((session.object_map(9) == 1) == (truth(0) == 1)).mean() > 0.98


def test_a_second_server_is_refused_and_strokes_in_flight_are_whole(
    clip: Path, tmp_path: Path
) -> None:
    with annotate(tmp_path, clip, "--session", tmp_path / "session") as (process, client):
        with pytest.raises(UserError, match="is being written by another run"):
            load_tool("annotate").main([str(clip), "--session", str(tmp_path / "session")])
        # It is killed in the middle of strokes that nobody waits for.
        with pytest.raises(httpx.TransportError):
            for count in range(1000):
                post(client, "strokes", frame=count % 11, object=None, strokes=[GRAY_CLICK])
                if count == 8:
                    os.kill(process.pid, signal.SIGKILL)
    with VOSSession(open_video(clip), tmp_path / "session") as session:
        assert len(session.objects) >= 9
        for index in session.given:
            assert session.strokes(index, session.given[index][0])


def test_an_engine_that_cannot_be_loaded_ends_it(clip: Path, tmp_path: Path) -> None:
    arguments = ["--session", tmp_path / "session"]
    with annotate(tmp_path, clip, *arguments, engine="none") as (process, client):
        assert client.get("api/frames/0.jpg").status_code == 200
        assert process.wait(10) == 1
        assert "error: engine none is unknown" in process.stderr.read()


def run(*arguments: object) -> None:
    load_tool("annotate").main([*map(str, arguments), "--no-browser"])


def test_the_browser_is_not_given_the_token_where_others_can_read_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def browse(link: str) -> None:
        file = tmp_path / "session/open.html"
        opened.append((link, file.as_uri(), file.stat().st_mode & 0o777, file.read_text()))
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr("platform.release", lambda: "6.1")
    load_tool("annotate").main(
        [str(clip), "--session", str(tmp_path / "session"), "--engine", "flow"]
    )
    ((link, uri, mode, text),) = opened
    assert link == uri and mode == 0o600 and 'content="0; url=http://127.0.0.1:' in text
    assert not (tmp_path / "session/open.html").exists()


def test_a_port_that_is_taken(clip: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            run(clip, "--session", tmp_path / "a", "--port", port)
    VOSSession(open_video(clip), tmp_path / "a").close()  # the session was closed again


def test_without_the_packages_it_says_what_to_install(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    with pytest.raises(UserError, match=r'pip install "vps_d2\[web\]"'):
        run(clip, "--session", tmp_path / "a")


def test_what_is_no_video_or_session(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        run(tmp_path / "none.mp4")
    with pytest.raises(UserError, match="holds no session"):
        run("--session", tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="holds something that is no session"):
        run(clip, "--session", tmp_path)


@pytest.mark.parametrize("arguments", [[], ["a.mp4", "--port", "65536"], ["a.mp4", "--port", "x"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert "name a video" in (error := capsys.readouterr().err) or "--port" in error
