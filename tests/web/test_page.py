"""The annotation page in chromium: what a user does with mouse and keys, and what comes of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.browser import Screen, launch, needs_browser, serve
from tests.web.squares import BLUE, COUNT, RED, SIDE, corner, write_film

pytestmark = needs_browser

Open = Callable[..., Screen]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launch() as browser:
        yield browser


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "squares.mp4")


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    yield context
    context.close()


@pytest.fixture
def screen(context: Any, film: Path, tmp_path: Path) -> Iterator[Screen]:
    with serve(film, tmp_path / "session") as (address, annotator):
        screen = Screen(context, address, annotator)
        yield screen
        assert not screen.problems
        screen.page.close()


def red_square(index: int) -> np.ndarray:
    mask = np.zeros((96, 128), bool)
    x, y = corner(index)
    mask[y : y + SIDE, x : x + SIDE] = True
    return mask


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / max((one | other).sum(), 1)


def click_red(screen: Screen) -> None:
    screen.click(20.5, 25.5)
    screen.wait_for_mask(0, 1, 20, 25)
    screen.wait(lambda: "1 object" in screen.text("#stage-note"))


def test_it_opens_with_the_first_frame(screen: Screen) -> None:
    assert screen.text("#title") == "squares"
    assert screen.text("#frame-count") == f"of {COUNT}"
    assert np.abs(screen.color(20, 25).astype(int) - RED).max() < 25
    assert screen.page.locator("#start-hint").is_visible()


def test_a_left_click_adds_and_a_right_click_takes_away(screen: Screen) -> None:
    before = screen.color(25.5, 20.5).astype(int)
    click_red(screen)
    assert overlap(screen.mask(0, 1), red_square(0)) > 0.9
    screen.wait(lambda: np.abs(screen.color(25.5, 20.5) - before).max() > 8)  # it is tinted
    screen.click(35.5, 70.5)
    screen.wait_for_mask(0, 1, 35, 70)  # the same object
    screen.click(40.5, 75.5, button="right")
    screen.wait_for_mask(0, 1, 25, 80, there=False)
    assert screen.mask(0, 1)[25, 20]
    assert len(screen.session.strokes(0, 1)) == 3


def test_a_scribble_makes_another_object(screen: Screen) -> None:
    click_red(screen)
    screen.press("n", "s")
    screen.drag((25, 60), (45, 70), (30, 80))
    screen.wait_for_mask(0, 2, 40, 62)
    (stroke,) = screen.session.strokes(0, 2)
    assert stroke.tool == "scribble" and len(stroke.points) > 5
    np.testing.assert_allclose(stroke.points[0], (25, 60), atol=0.2)
    np.testing.assert_allclose(stroke.points[-1], (30, 80), atol=0.3)
    screen.press("1")
    screen.wait(lambda: "1 object" in screen.text("#stage-note"))


def test_objects_may_be_clicked_faster_than_masks_are_made(screen: Screen) -> None:
    screen.click(20.5, 25.5)
    screen.press("n")
    screen.click(35.5, 70.5)
    screen.click(40.5, 75.5)
    screen.wait(lambda: len(screen.session.strokes(0, 2)) == 2)
    assert len(screen.session.strokes(0, 1)) == 1 and screen.mask(0, 1)[25, 20]
    screen.wait(lambda: "2 object" in screen.text("#stage-note"))


def test_brush_and_eraser_change_exactly_what_they_touch(screen: Screen) -> None:
    screen.press("b", "]", "]")
    radius = float(screen.page.locator("#size").input_value())
    screen.drag((60.5, 40.5), (90.5, 40.5))
    screen.wait_for_mask(0, 1, 75, 40)
    rows, columns = np.nonzero(screen.mask(0, 1))
    assert abs(rows.max() - rows.min() - 2 * radius) <= 2
    assert abs(columns.max() - columns.min() - 30 - 2 * radius) <= 2
    screen.press("e")
    screen.drag((75.5, 20.5), (75.5, 60.5))
    screen.wait_for_mask(0, 1, 75, 40, there=False)
    assert screen.mask(0, 1)[40, 60] and screen.mask(0, 1)[40, 90]


def test_undo_and_redo(screen: Screen) -> None:
    click_red(screen)
    screen.press("Control+z")
    screen.wait_for_mask(0, 1, 20, 25, there=False)
    screen.press("Control+Shift+z")
    screen.wait_for_mask(0, 1, 20, 25)
    screen.page.get_by_label("Undo").click()
    screen.wait_for_mask(0, 1, 20, 25, there=False)


def test_objects_are_followed_corrected_and_followed_again(screen: Screen) -> None:
    click_red(screen)
    screen.press("p")
    screen.wait_for_job()
    for index in (5, COUNT - 1):
        assert overlap(screen.mask(index, 1), red_square(index)) > 0.9
    screen.page.locator("#frame-number").fill("11")
    screen.press("Enter")
    screen.wait(lambda: screen.shown == 10)
    x, y = corner(10)
    screen.press("e")
    screen.drag((x + 5.5, y + 5.5), (x + 10.5, y + 5.5))
    screen.wait_for_mask(10, 1, x + 7, y + 5, there=False)
    corrected = screen.mask(10, 1)
    screen.press("a")
    screen.wait_for_job()
    assert np.array_equal(screen.mask(10, 1), corrected)
    assert screen.annotator.rows()["objects"]["1"]["touched"] == [0, 10]
    screen.press("Home", "t")
    screen.wait(lambda: screen.shown == 10)


def test_clicks_go_on_while_objects_are_followed(context: Any, film: Path, tmp_path: Path) -> None:
    with serve(film, tmp_path / "session", delay=0.4) as (address, annotator):
        screen = Screen(context, address, annotator)
        click_red(screen)
        screen.press("p", "n")
        screen.wait(lambda: screen.page.locator("#job").is_visible())
        screen.click(35.5, 70.5)
        screen.wait(lambda: screen.mask(0, 2)[70, 35])
        assert screen.job_state == "running"
        screen.press("q")
        screen.wait_for_job()
        assert screen.job_state == "cancelled"
        assert 0 < len(screen.session.known_frames) < COUNT
        screen.wait(lambda: "was stopped" in screen.text("#toasts"))
        assert not screen.problems


def test_masks_are_exported_and_imported(
    screen: Screen, context: Any, film: Path, tmp_path: Path
) -> None:
    click_red(screen)
    screen.press("p")
    screen.wait_for_job()
    screen.press("Shift+E")
    screen.page.get_by_label("Palette PNGs").check()
    with screen.page.expect_download() as download:
        screen.page.locator("#export-start").click()
    path = tmp_path / "masks.zip"
    download.value.save_as(path)
    with serve(film, tmp_path / "other") as (address, annotator):
        other = Screen(context, address, annotator)
        other.press("Shift+I")
        other.page.locator("#import-file").set_input_files(path)
        other.page.locator("#import-start").click()
        other.wait(lambda: len(annotator.session.known_frames) == COUNT)
        for index in (0, 7):
            assert np.array_equal(other.mask(index, 1), screen.mask(index, 1))
        other.wait(lambda: not other.page.locator("#import-start").is_visible())
        other.press("Shift+I")
        other.page.locator("#import-file").set_input_files(film)
        other.page.locator("#import-start").click()
        other.wait(lambda: other.page.locator(".toast.error").count())
        assert not other.problems


def test_a_reload_keeps_what_was_chosen(screen: Screen) -> None:
    click_red(screen)
    screen.press("b", "]", "ArrowRight", "ArrowRight", "i", "ArrowRight", "o")
    size = screen.page.locator("#size").input_value()
    screen.page.reload()
    screen.wait(lambda: screen.shown == 3)
    pressed = screen.page.get_by_label("Brush").get_attribute("aria-pressed")
    assert pressed == "true" and screen.page.locator("#size").input_value() == size
    assert (
        "1 object" in screen.text("#stage-note") and screen.text("#range-text") == "Frames 3 to 4"
    )


def test_objects_are_named_hidden_and_deleted(screen: Screen) -> None:
    click_red(screen)
    screen.press("F2")
    screen.page.keyboard.type("box")
    screen.press("Enter")
    screen.wait(lambda: screen.session.objects == {1: "box"})
    tinted = screen.color(25.5, 20.5).astype(int)
    screen.press("v")
    screen.wait(lambda: np.abs(screen.color(25.5, 20.5) - tinted).max() > 8)
    screen.press("Delete")
    screen.wait(lambda: not screen.session.objects)
    screen.page.locator(".toast").get_by_text("Undo").click()
    screen.wait(lambda: screen.session.objects == {1: "box"})


def test_a_range_is_chosen_and_cleared_on_the_timeline(screen: Screen) -> None:
    click_red(screen)
    screen.press("p")
    screen.wait_for_job()
    box = screen.page.locator("#timeline").bounding_box()
    pixels = (box["width"] - 128) / COUNT

    def at(frame: int) -> tuple[float, float]:
        return box["x"] + 128 + (frame + 0.5) * pixels, box["y"] + 30

    screen.page.mouse.click(*at(4))
    screen.wait(lambda: screen.shown == 4)
    screen.page.keyboard.down("Shift")
    screen.page.mouse.move(*at(6))
    screen.page.mouse.down()
    screen.page.mouse.move(*at(9))
    screen.page.mouse.up()
    screen.page.keyboard.up("Shift")
    screen.wait(lambda: screen.text("#range-text") == "Frames 5 to 10")
    screen.press("Backspace")
    screen.wait(lambda: not screen.mask(7, 1).any())
    assert screen.mask(3, 1).any() and screen.mask(10, 1).any()
    screen.press("Escape")
    screen.wait(lambda: screen.text("#range-text") == "From frame 10")


def test_the_film_plays(screen: Screen) -> None:
    screen.press("Space")
    screen.wait(lambda: (screen.shown or 0) >= 3)
    screen.press("Space")
    screen.page.wait_for_timeout(150)
    shown = screen.shown
    screen.page.wait_for_timeout(250)
    assert screen.shown == shown is not None


def test_the_wheel_zooms_at_the_pointer(screen: Screen) -> None:
    blue = screen.place(35, 70)
    screen.page.mouse.move(*blue)
    screen.page.mouse.wheel(0, -900)
    screen.wait(lambda: np.abs(screen.color(5, 70).astype(int) - BLUE).max() < 40)
    screen.page.mouse.click(*blue)
    screen.wait_for_mask(0, 1, 35, 70)
    np.testing.assert_allclose(screen.session.strokes(0, 1)[0].points[0], (35, 70), atol=0.5)
    screen.press("0")
    screen.wait(lambda: np.abs(screen.color(5, 70).astype(int) - BLUE).max() > 40)


def test_the_help_lists_every_key(screen: Screen) -> None:
    screen.press("?")
    assert screen.page.locator("#help-dialog kbd").count() > 50
    screen.press("Escape", "l")
    theme = screen.page.locator("html").get_attribute("data-theme")
    screen.press("l")
    assert {theme, screen.page.locator("html").get_attribute("data-theme")} == {"light", "dark"}
