"""A page that shows the pictures and films of a folder, each with what it is."""

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

__all__ = ["Section", "format_gallery"]

_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.2em}h2{font-size:1.2em;margin:2em 0 .3em}
nav{display:flex;flex-wrap:wrap;gap:.3em 1em;margin:.8em 0}
p{max-width:48em;margin:.3em 0 .8em}
.shown{display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start}
figure{margin:0;padding:.6em;border:1px solid var(--line);border-radius:6px;max-width:100%}
figure img,figure video{display:block;max-width:100%}
.film{flex:1 1 22em;max-width:calc(50% - 1.9em)}.film img,.film video{width:100%}
@media(max-width:50em){.film{max-width:100%}}
figcaption{font-size:.85em;opacity:.8;margin-top:.4em;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.6em .8em;border-radius:6px;overflow-x:auto;font-size:.85em}
table{border-collapse:collapse;margin:.4em 0 1em}
td{padding:.2em 1.2em .2em 0;border-bottom:1px solid var(--line)}
td:last-child{text-align:right;font-variant-numeric:tabular-nums}
"""
_FILMS = (".mp4",)
_PICTURES = (".png", ".jpg", ".gif")


@dataclass(frozen=True)
class Section:
    """A part of a gallery.

    Args:
        title: of the part.
        text: what it shows.
        files: captions and paths; pictures and films are shown, other files linked.
        figures: names and values, for a small table.
        lines: text that is shown as it is, such as commands.
    """

    title: str
    text: str
    files: Sequence[tuple[str, Path]] = ()
    figures: Sequence[tuple[str, str]] = ()
    lines: Sequence[str] = ()


def format_gallery(title: str, text: str, sections: Sequence[Section], folder: Path) -> str:
    """Return an HTML page, which opens without a server.

    Args:
        title: of the page.
        text: below it.
        sections: in the order of the page.
        folder: that the page will be in; it refers to files by their paths from there.
    """
    links = "".join(
        f'<a href="#part{number}">{html.escape(section.title)}</a>'
        for number, section in enumerate(sections)
    )
    parts = "".join(
        f'<section id="part{number}">{_section(section, folder)}</section>'
        for number, section in enumerate(sections)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p><nav>{links}</nav>{parts}</html>\n"
    )


def _section(section: Section, folder: Path) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td>{html.escape(value)}" for name, value in section.figures
    )
    lines = html.escape("\n".join(section.lines))
    shown = "".join(_file(caption, path, folder) for caption, path in section.files)
    return (
        f"<h2>{html.escape(section.title)}</h2><p>{html.escape(section.text)}</p>"
        f"{f'<table>{rows}</table>' if rows else ''}{f'<pre>{lines}</pre>' if lines else ''}"
        f"{f'<div class=shown>{shown}</div>' if shown else ''}"
    )


def _file(words: str, path: Path, folder: Path) -> str:
    url = html.escape(quote(Path(os.path.relpath(path, folder)).as_posix()))
    text = html.escape(words)
    caption = f"<figcaption>{text}</figcaption>"
    if path.suffix in _FILMS:
        film = f'<video src="{url}" controls muted loop preload="metadata"></video>'
        return f'<figure class="film">{film}{caption}</figure>'
    if path.suffix in _PICTURES:
        kind = ' class="film"' if path.suffix == ".gif" else ""
        return f'<figure{kind}><img src="{url}" alt="{text}">{caption}</figure>'
    return f'<figure><a href="{url}">{text}</a></figure>'
