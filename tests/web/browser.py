"""The annotation page in a real browser, over a server in this process."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.squares import HEIGHT, WIDTH, make_engine
from vps_d2.inference.vos.engines import EngineOptions

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PARTS = ("playwright", "fastapi", "uvicorn", "python_multipart")

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or not all(map(find_spec, PARTS)),
    reason="the page is tested in chromium by Playwright: install chromium, and the package with "
    "the extra [browser], to run these tests",
)

MARGIN = 12  # CSS pixels around a frame that is fitted
SECONDS = 15.0


@contextmanager
def launch() -> Iterator[Any]:
    """Start chromium; without a GPU it draws sooner than with a simulated one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@contextmanager
def serve(film: Path, folder: Path, delay: float = 0) -> Iterator[tuple[str, Any]]:
    """Serve the page; yield its address and the annotator behind it.

    Args:
        film: the video.
        folder: of the session.
        delay: seconds that the engine takes for each frame.
    """
    from vps_d2.web.annotator import Annotator, open_session
    from vps_d2.web.server import PageServer

    session = open_session(film, folder, folder.parent, None)
    engine: Any = make_engine(EngineOptions())
    segment = engine.segment
    engine.segment = lambda *args: (time.sleep(delay), segment(*args))[1]
    session.engine, session.mask_maker = engine, engine.mask_maker
    annotator = Annotator(session)
    server = PageServer(annotator, 0)
    ready = threading.Event()
    thread = threading.Thread(target=server.serve_page, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(SECONDS)
        yield server.address, annotator
    finally:
        server.stop()
        thread.join()
        annotator.close()


class Screen:
    """A tab with the page, and what a user does with it.

    Args:
        context: of Playwright.
        address: of the page.
        annotator: behind the page.
    """

    def __init__(self, context: Any, address: str, annotator: Any = None) -> None:
        self.page, self.annotator = context.new_page(), annotator
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("console", self._listen)
        self.page.goto(address)
        self.wait(lambda: self.shown == 0 or self.shown is not None)

    def _listen(self, message: Any) -> None:
        # A server that is gone is an error to the browser, and tested as such.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    @property
    def shown(self) -> int | None:
        """Index of the frame that is drawn; None while it is not there yet."""
        text = self.page.locator("#stage").get_attribute("data-frame")
        return int(text) if text else None

    @property
    def session(self) -> Any:
        return self.annotator.session

    def wait(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, while the browser goes on."""
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, "it did not happen"
            self.page.wait_for_timeout(15)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pixel of the video is on the screen, if the whole frame is shown."""
        box = self.page.locator("#stage").bounding_box()
        width, height = box["width"], box["height"]
        scale = min((width - 2 * MARGIN) / WIDTH, (height - 2 * MARGIN) / HEIGHT)
        left, top = (width - WIDTH * scale) / 2, (height - HEIGHT * scale) / 2
        return box["x"] + left + x * scale, box["y"] + top + y * scale

    def click(self, x: float, y: float, **options: Any) -> None:
        self.page.mouse.click(*self.place(x, y), **options)

    def drag(self, *points: tuple[float, float], button: str = "left") -> None:
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=4)
        self.page.mouse.up(button=button)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def color(self, x: float, y: float) -> np.ndarray:
        """Return the color of the canvas, uint8 RGB ``(3,)``, at a pixel of the video."""
        at = self.place(x, y)
        script = """([x, y]) => {
            const canvas = document.getElementById("stage");
            const box = canvas.getBoundingClientRect();
            const [k, l] = [(x - box.left), (y - box.top)].map((each) => each * devicePixelRatio);
            return [...canvas.getContext("2d").getImageData(k, l, 1, 1).data];
        }"""
        return np.array(self.page.evaluate(script, at)[:3], np.uint8)

    def mask(self, index: int, number: int) -> np.ndarray:
        """Return the mask of an object, bool ``(H, W)``, as it is on the server's disk."""
        found = self.session.object_map(index)
        return np.zeros((HEIGHT, WIDTH), bool) if found is None else found == number

    def wait_for_mask(self, index: int, number: int, x: int, y: int, there: bool = True) -> None:
        """Wait until a pixel belongs to an object, or no longer does."""
        self.wait(lambda: bool(self.mask(index, number)[y, x]) is there)
        self.settle()

    def settle(self) -> None:
        """Wait until the page knows what the server knows."""
        revision = self.annotator.revision
        self.wait(lambda: int(self.page.locator("body").get_attribute("data-revision")) >= revision)

    @property
    def job_state(self) -> str | None:
        """State of the last job; None if there was none."""
        job = self.annotator.state()["job"]
        return None if job is None else job["state"]

    def wait_for_job(self) -> None:
        """Wait until the job that was begun has ended."""
        self.wait(lambda: self.job_state not in (None, "running"))
        self.settle()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()
