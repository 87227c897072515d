import re

import numpy as np

from vps_d2.visualization.video_page import ObjectRow, format_video_page, make_thumbnail

PICTURE = np.full((360, 640, 3), 128, np.uint8)


def page(title="clip.mp4", name="dog", film="overlay.mp4", runs=((2.0, 3.0), (4.0, 6.0))):
    rows = [ObjectRow(1, name, 0.9, (255, 0, 16), 90, runs)]
    return format_video_page(title, [("model", "a <b>")], [("2.00 s", PICTURE)], rows, (2, 6), film)


def test_the_timeline_shows_when_an_object_is_there():
    bars = re.findall(r'<rect x="([\d.]+)" width="([\d.]+)".*?data-time="([\d.]+)"', page())
    assert bars == [("0.00", "250.00", "0.000"), ("500.00", "500.00", "2.000")]
    assert "#ff0010" in page() and "<video" in page() and "<video" not in page(film="")


def test_names_are_escaped():
    text = page("<script>alert(1)</script>.mp4", "<img src=x>")
    assert "<script>alert" not in text and "<img src=x>" not in text and "a <b>" not in text


def test_nothing_is_loaded_from_elsewhere():
    assert not re.findall(r"https?://", page())


def test_a_video_without_objects():
    assert "None was found" in format_video_page("x", [], [], [], (0, 0))


def test_thumbnails():
    assert make_thumbnail(PICTURE).shape == (180, 320, 3)
    assert make_thumbnail(PICTURE[:100]).shape == (100, 640, 3)
