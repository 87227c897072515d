"""The page that shows the pictures and films of a folder."""

from pathlib import Path

from vps_d2.visualization.gallery import Section, format_gallery


def test_files_are_shown_by_their_kind_and_named_from_the_page(tmp_path: Path) -> None:
    files = [
        ("a picture", tmp_path / "made" / "a b.png"),
        ("a film", tmp_path / "made" / "film.mp4"),
        ("a page", tmp_path / "page.html"),
    ]
    page = format_gallery("Title", "Text", [Section("Part", "What it is", files)], tmp_path)
    assert '<img src="made/a%20b.png" alt="a picture">' in page
    assert '<video src="made/film.mp4"' in page
    assert '<a href="page.html">a page</a>' in page
    assert str(tmp_path) not in page and "http" not in page


def test_nothing_in_it_is_markup(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    section = Section(bad, bad, [(bad, tmp_path / "a.png")], [(bad, bad)], [bad])
    page = format_gallery(bad, bad, [section], tmp_path)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 8


def test_figures_and_lines(tmp_path: Path) -> None:
    page = format_gallery(
        "T", "", [Section("P", "", (), [("score", "0.5")], ["one", "two"])], tmp_path
    )
    assert "<td>score<td>0.5" in page and "<pre>one\ntwo</pre>" in page
