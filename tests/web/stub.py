"""A maker of masks for tests, and a session that is open for them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.inference.vos.stub import ColorEngine
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.web.annotator import Annotator, open_session
from vps_d2.web.server import PageServer

RED_CLICK = {"points": [[5.5, 15.5]], "tool": "click"}  # on the red square of frame 0
GRAY_CLICK = {"points": [[40.5, 40.5]], "tool": "click"}


class ColorMaker(MaskMaker):
    """Takes the pixels that look like the one under the last stroke."""

    source = "colors"

    def make_mask(self, picture, mask, strokes):
        x, y = strokes[-1].points[0]
        far = np.abs(picture.astype(int) - picture[int(y), int(x)]).sum(2)
        return mask | (far < 60) if strokes[-1].positive else mask & (far >= 60)


class SlowEngine(ColorEngine):
    """Waits before each frame until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Semaphore(0)

    def segment(self, picture, objects):
        assert self.may_go.acquire(timeout=10)
        return super().segment(picture, objects)


@contextmanager
def opened(clip: Path, folder: Path, engine: Any = None) -> Iterator[Annotator]:
    """Open a session whose engine is loaded."""
    annotator = Annotator(open_session(clip, folder, folder))
    try:
        annotator.use_engine(engine or ColorEngine(), ColorMaker(), None)
        yield annotator
    finally:
        annotator.close()


@contextmanager
def served(annotator: Annotator) -> Iterator[httpx.Client]:
    """Serve a session, and return a client whose addresses begin with the token."""
    server = PageServer(annotator)
    thread = threading.Thread(target=server.serve_page)
    thread.start()
    try:
        wait_until(lambda: server.started)
        with httpx.Client(base_url=server.address, timeout=10) as client:
            yield client
    finally:
        server.stop()
        thread.join()


def wait_until(is_so, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def wait_for_job(client: httpx.Client) -> dict[str, Any]:
    """Wait until the job has ended, and return it."""
    wait_until(lambda: client.get("api/state").json()["job"]["state"] != "running")
    job: dict[str, Any] = client.get("api/state").json()["job"]
    return job


def post(client: httpx.Client, path: str, **values: Any) -> Any:
    """Send JSON, and return that of the answer."""
    answer = client.post(f"api/{path}", json=values)
    assert answer.status_code == 200, answer.text
    return answer.json()
