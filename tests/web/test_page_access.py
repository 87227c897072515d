"""The annotation page without a mouse, in two tabs, with bad names, and when the server dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.web.browser import Screen, needs_browser, serve
from tests.web.squares import COUNT
from tests.web.test_page import browser, click_red, context, film, screen

__all__ = ["browser", "context", "film", "screen"]

pytestmark = needs_browser


def test_the_keyboard_alone_is_enough(screen: Screen) -> None:
    page = screen.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to the frame
    screen.wait(lambda: page.evaluate("document.activeElement.id") == "stage")
    screen.wait(lambda: page.locator("#stage[data-crosshair]").count())
    # From the middle to the red square: a step is a pixel, with Shift a longer one.
    for _ in range(44):
        page.keyboard.press("ArrowLeft")
    for _ in range(23):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    screen.wait_for_mask(0, 1, 20, 25)
    page.keyboard.press("Alt+Enter")
    screen.wait(lambda: not screen.mask(0, 1).any())
    page.keyboard.press("Control+z")
    screen.wait_for_mask(0, 1, 20, 25)
    for key in ("b", "Enter", *["ArrowRight"] * 30, "Enter"):  # a stroke of the brush
        page.keyboard.press(key)
    screen.wait_for_mask(0, 1, 48, 25)
    page.keyboard.press("p")
    screen.wait_for_job()
    assert len(screen.session.known_frames) == COUNT
    page.keyboard.press("Shift+E")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") == "palette"
    page.keyboard.press("Escape")
    page.keyboard.press("Period")
    screen.wait(lambda: screen.shown == 1)
    timeline = page.locator("#timeline")
    screen.wait(lambda: "frame 2 of" in timeline.get_attribute("aria-valuetext"))


def test_the_tab_key_reaches_every_control_and_each_has_a_name(screen: Screen) -> None:
    click_red(screen)
    screen.press("b")
    nameless = screen.page.evaluate("""() => [...document.querySelectorAll(
        "button, input, canvas:not([aria-hidden])")].filter((each) => !(
        each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length
        )).map((each) => each.outerHTML)""")
    assert nameless == []
    reached = set()
    for _ in range(80):
        screen.page.keyboard.press("Tab")
        reached.add(
            screen.page.evaluate("""() => document.activeElement.id
            || document.activeElement.dataset.command || document.activeElement.className""")
        )
    wanted = {"stage", "timeline", "size", "opacity", "play", "undo", "export", "forward", "delete"}
    assert wanted <= reached


def test_two_tabs_show_the_same(screen: Screen, context: Any) -> None:
    other = Screen(context, screen.page.url, screen.annotator)
    click_red(screen)
    other.wait(lambda: other.page.locator(".object .pick").count() == 2)
    plain = other.color(60, 60)
    other.wait(lambda: np.abs(other.color(25.5, 20.5).astype(int) - plain).max() > 60)
    other.press("n")
    other.click(35.5, 70.5)
    screen.wait_for_mask(0, 2, 35, 70)
    screen.wait(lambda: screen.page.locator(".object .pick").count() == 3)
    assert screen.session.objects == {1: "object", 2: "object"}
    assert not other.problems


@pytest.mark.parametrize(
    "name",
    ['<img src=x onerror="alert(1)">', '"><script>alert(1)</script>', "שם" * 40, "{{nonce}}"],
)
def test_names_are_text(screen: Screen, name: str) -> None:
    screen.page.locator("#class-name").fill(name)
    screen.press("Enter")
    screen.wait(lambda: screen.session.objects)
    screen.settle()
    field = screen.page.locator(".object input")
    screen.wait(lambda: field.count() and field.input_value() == name)
    assert name.strip() in screen.text("#stage-note")
    assert screen.page.locator("img").count() == 0
    assert screen.page.locator("script").count() == 1


def test_fingers_tap_draw_and_zoom(browser: Any, film: Path, tmp_path: Path) -> None:
    size = {"width": 1024, "height": 768}
    context = browser.new_context(viewport=size, has_touch=True, is_mobile=True)
    with serve(film, tmp_path / "session") as (address, annotator):
        screen = Screen(context, address, annotator)
        screen.page.touchscreen.tap(*screen.place(20.5, 25.5))
        screen.wait_for_mask(0, 1, 20, 25)
        before = screen.color(5, 70).astype(int)
        touch = context.new_cdp_session(screen.page)

        def move(kind: str, *points: tuple[float, float]) -> None:
            fingers = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

        x, y = screen.place(35, 70)
        move("touchStart", (x - 20, y))
        move("touchStart", (x - 20, y), (x + 20, y))
        for step in range(1, 9):
            move("touchMove", (x - 20 - 20 * step, y), (x + 20 + 20 * step, y))
        move("touchEnd")
        screen.wait(lambda: np.abs(screen.color(5, 70) - before).max() > 40)
        assert len(screen.session.strokes(0, 1)) == 1  # no finger of the two has drawn
        assert not screen.problems
    context.close()


def test_a_lost_server_is_shown(context: Any, film: Path, tmp_path: Path) -> None:
    with serve(film, tmp_path / "session") as (address, annotator):
        screen = Screen(context, address, annotator)
    screen.wait(lambda: "does not answer" in screen.text("#notice"))
    screen.click(20.5, 25.5)
    screen.wait(lambda: screen.page.locator(".toast.error").count())


def start(film: Path, folder: Path) -> tuple[subprocess.Popen[str], str]:
    words = ["annotate", film, "--session", folder, "--no-browser", "--engine", "flow"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "vps_d2", *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_nothing_is_lost_when_the_server_is_killed(
    context: Any, film: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process, address = start(film, tmp_path / "session")
    processes.append(process)
    screen = Screen(context, address)
    screen.press("b")  # which needs no network, so nothing has to be loaded first
    screen.drag((20.5, 25.5), (30.5, 25.5))
    screen.wait(lambda: "1 object" in screen.text("#stage-note"))
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()
    screen.wait(lambda: screen.text("#notice"))
    process, address = start(film, tmp_path / "session")
    processes.append(process)
    screen = Screen(context, address)
    screen.wait(lambda: screen.page.locator(".object .pick").count() == 2)
    plain = screen.color(60, 60)
    screen.wait(lambda: np.abs(screen.color(25.5, 20.5).astype(int) - plain).max() > 60)
