import base64
import json
import re

import numpy as np
import pytest

from tests.web.browser import launch, needs_browser
from vps_d2.data.paths import ObjectPath
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.visualization.future_page import (
    FuturePage,
    PageMask,
    PageRow,
    PageTable,
    PageVideo,
    encode_film,
    encode_runs,
    format_future_page,
)

SIZE = (40, 60)


def make_page(name="video_1", size=SIZE, num_videos=2, noise=0):
    generator = np.random.default_rng(0)
    truth = np.zeros(size, np.uint8)
    truth[4:20, 6:30] = 1
    path = ObjectPath(1, np.array([[6.0, 4.0], [np.nan, np.inf]]), np.array([1.0, 0.5]))
    videos = [
        PageVideo(
            f"{name}{index}",
            generator.integers(0, noise + 1, (4, *size, 3)).astype(np.uint8),
            truth,
            [PageMask(truth, 1.0 - index), PageMask(0 * truth, 0.1 * index, [path])],
            {1: "drawing"},
        )
        for index in range(num_videos)
    ]
    rows = [
        PageRow("best", "a note", 0.5, (0.4, 0.6), cells=("1",)),
        PageRow(name, score=0.3, start=0.5, cells=("2",)),
        PageRow("lost", "not run"),
    ]
    table = PageTable("Objects", ("video", "name"), [(name, "x"), ("y", "z")], [1, None])
    taxonomy = Taxonomy((name, "other"))
    return FuturePage("T", "", ("method", "score", "x"), rows, videos, taxonomy, 2, [table])


def read_data(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_rows_and_columns_line_up():
    text = format_future_page(make_page())
    lines = re.findall(r"<tr>(.*?)(?=<tr|</table>)", text.split("<tbody>")[1], re.DOTALL)
    assert [re.sub(r"<small.*?</small>", "", line).count("<td") for line in lines] == [5, 5]
    assert text.count('class="best" data-video="0" data-row="0"') == 1
    assert text.count('class="best" data-video="1" data-row="1"') == 1
    assert "0.400 - 0.600" in text and "--low:0.5714;--high:0.8571" in text
    assert 'class="bar loss"' in text  # a score that a step lowers
    assert '<button type="button" data-video="1">video_1<' in text


def test_masks_are_exact_and_paths_finite():
    page = make_page()
    video = read_data(format_future_page(page))["videos"][0]
    runs = np.frombuffer(base64.b64decode(video["truth"]), "<u4")
    mask = np.repeat(runs >> 24, runs & 0xFFFFFF).reshape(SIZE)
    assert (mask == page.videos[0].truth).all()
    assert video["rows"][1]["paths"][0]["points"] == [[6.0, 4.0], [0.0, 10000.0]]
    assert video["rows"][0]["paths"] == [] and video["causes"] == {"1": "drawing"}


@pytest.mark.parametrize("mask", [np.zeros((1, 1), np.uint8), np.arange(6, dtype=np.uint8)[None]])
def test_runs(mask):
    runs = np.frombuffer(base64.b64decode(encode_runs(mask)), "<u4")
    assert np.repeat(runs >> 24, runs & 0xFFFFFF).tolist() == mask.ravel().tolist()


def test_names_are_escaped():
    name = "</script><img src=x onerror=alert(1)>\x1b"
    text = format_future_page(make_page(name))
    assert "<img" not in text and "\x1b" not in text
    assert text.count("</script>") == 2
    assert read_data(text)["names"][1] == name


def test_a_dozen_videos_take_less_than_five_megabytes():
    text = format_future_page(make_page(size=(480, 640), num_videos=12, noise=255))
    assert len(text) < 5e6 and not re.findall(r"https?://", text)
    video = read_data(text)["videos"][0]
    assert (video["width"], video["height"]) == (320, 240)


def test_the_quality_is_lowered_to_fit():
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    assert len(encode_film(frames, 1000)) < len(encode_film(frames, 1e6))


def test_a_page_without_videos_is_a_table():
    page = make_page(num_videos=0)
    text = format_future_page(page)
    assert "viewer" not in text.split("<main>")[1].split("</main>")[0]
    assert read_data(text) == {}


@needs_browser
def test_the_page_in_a_browser(tmp_path):
    (tmp_path / "page.html").write_text(format_future_page(make_page()))
    errors: list[str] = []
    with launch() as browser:
        page = browser.new_page(viewport={"width": 420, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("#methods .method")
        assert "right 384 px" in page.inner_text("#legend")
        assert "lost to drawing" in page.inner_text("#objects")
        page.click("button.best[data-row='1']")  # the best video of the second row
        page.wait_for_function("document.querySelector('#video-name').textContent == 'video_11'")
        assert "missed 384 px" in page.inner_text("#legend")
        assert page.inner_text("#frame-name") == "frame 4 · to be predicted"
        for key, shown in (("ArrowLeft", "frame 3"), ("ArrowLeft", "frame 2 · known")):
            page.keyboard.press(key)
            assert page.inner_text("#frame-name").startswith(shown)
        page.keyboard.press("[")
        page.wait_for_function("document.querySelector('#video-name').textContent == 'video_10'")
        assert page.evaluate("document.documentElement.scrollWidth") == 420
    assert not errors
