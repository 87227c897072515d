"""Measure the page's server: how soon it is there, and how long a click and a frame take."""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import cv2

from vps_d2.data.object_maps import object_numbers
from vps_d2.data.video import read_masks
from vps_d2.evaluation.benchmark import Figure
from vps_d2.evaluation.segmentation_benchmark import write_clip
from vps_d2.io.errors import UserError

__all__ = ["time_page"]

ROWS = 480
"""Of the clips, to which the frames of the videos are enlarged."""

_SHORT = 100  # frames
_PATIENCE = 300  # seconds


class _Page:
    """A process that serves the page, and one connection to it.

    Attributes:
        opened: seconds from the start of the process until the address was printed.
        shown: and until the state and the first frame had come.
    """

    def __init__(self, command: Sequence[str]) -> None:
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vps_d2", "annotate", "--no-browser", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        word, _, address = self.process.stdout.readline().strip().partition(" ")
        if word != "open":
            raise UserError(f"vps-d2 annotate failed ({self.errors()}).")
        self.opened = time.perf_counter() - start
        parts = urlsplit(address)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=_PATIENCE
        )
        self.state = self.ask("GET", "api/state")
        self.ask("GET", "api/frames/0.jpg")
        self.shown = time.perf_counter() - start
        while self.state["engine"] is None:
            time.sleep(0.05)
            self.state = self.ask("GET", "api/state")
        self.loaded = time.perf_counter() - start

    def errors(self) -> str:
        """End the process, and return the end of what it said."""
        self.process.kill()
        return self.process.communicate()[1].strip()[-200:]

    def ask(self, method: str, path: str, values: dict[str, Any] | None = None) -> Any:
        """Send a request, and return the JSON of the answer, or its bytes.

        Raises:
            UserError: if the server refuses or ends.
        """
        body = None if values is None else json.dumps(values).encode()
        try:
            self._connection.request(method, self._path + path, body)
            answer = self._connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"vps-d2 annotate failed ({self.errors()}).") from error
        is_json = answer.headers.get_content_type() == "application/json"
        if answer.status >= 400:
            raise UserError(f"the page of vps-d2 annotate failed ({data.decode()[:200]}).")
        return json.loads(data) if is_json else data


@contextmanager
def _open_page(*command: object) -> Iterator[_Page]:
    page = _Page([str(word) for word in command])
    try:
        yield page
    finally:
        page.errors()


def time_page(
    folders: Sequence[Path], *, num_frames: int, repeats: int, options: Sequence[str] = ()
) -> list[Figure]:
    """Measure ``vps-d2 annotate`` on a short and on a long clip.

    Args:
        folders: of labeled videos, whose frames are the clips.
        num_frames: of the long clip; the short one has 100.
        repeats: number of clicks and frames of which the median is taken.
        options: of the command, such as the engine.

    Returns:
        seconds until the page is there, and milliseconds of a click, also while objects are
        followed, and of a frame that is in memory.

    Raises:
        UserError: if the command fails.
    """
    figures = []
    clicks = list(_find_clicks(folders[0]))
    with tempfile.TemporaryDirectory() as folder:
        for count in (_SHORT, num_frames):
            clip = Path(folder, f"{count}.mp4")
            write_clip(clip, list(folders), count, rows=ROWS)
            with _open_page(clip, "--session", Path(folder, str(count)), *options) as page:
                name = f"annotate, {count} frames"
                figures.append(Figure(f"{name}, address", page.opened, "s", 1))
                figures.append(Figure(f"{name}, first frame", page.shown, "s", 1))
                figures.append(Figure(f"{name}, network loaded", page.loaded, "s", 1))
                if count == _SHORT:
                    figures += _time_use(page, clicks, repeats)
    return figures


def _time_use(
    page: _Page, clicks: Sequence[tuple[int, dict[str, Any]]], repeats: int
) -> list[Figure]:
    """Measure clicks and frames on an open page."""

    def click(place: int) -> None:
        frame, stroke = clicks[place % len(clicks)]
        number = 1 if place else None
        page.ask("POST", "api/strokes", {"frame": frame, "object": number, "strokes": [stroke]})

    def show(place: int) -> None:
        page.ask("GET", f"api/frames/{place % _SHORT}.jpg")

    click(0)  # a warm-up, which also makes the object
    for place in range(min(repeats, _SHORT)):
        show(place)
    figures = [
        _figure("click to mask", click, repeats),
        _figure("frame in memory", show, repeats),
    ]
    page.ask("POST", "api/propagate", {"direction": "forward"})
    figures.append(_figure("click to mask while following", click, repeats))
    return figures


def _figure(name: str, step: Callable[[int], None], repeats: int) -> Figure:
    times = []
    for place in range(1, repeats + 1):
        start = time.perf_counter()
        step(place)
        times.append(time.perf_counter() - start)
    return Figure(f"annotate, {name}", 1000 * median(times), "ms", repeats)


def _find_clicks(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a frame, and a click in the middle of the largest object there, for each frame."""
    for index, mask in enumerate(read_masks(folder)):
        numbers = object_numbers(mask)
        if numbers:
            largest = max(numbers, key=lambda number: int((mask == number).sum()))
            inside = cv2.distanceTransform((mask == largest).astype("uint8"), cv2.DIST_L2, 3)
            _, _, _, (x, y) = cv2.minMaxLoc(inside)
            scale = ROWS / len(mask)
            point = [(x + 0.5) * scale, (y + 0.5) * scale]
            yield index, {"points": [point], "tool": "click"}
