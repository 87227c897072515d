"""The page of a segmented video: what is in it, when, and what it looks like.

It is one HTML file that opens without a server or a network; it plays the film beside it.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_THUMBNAIL_ROWS = 180
_QUALITY = 85
_BARS = 1000  # width of the timeline in its own units
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--faint:#8882}
body{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:75em;padding:0 1em}
h1{font-size:1.4em;overflow-wrap:anywhere}h2{font-size:1.1em;margin:1.6em 0 .4em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em}dt{opacity:.7}
dd{margin:0;overflow-wrap:anywhere}
video{max-width:100%;max-height:70vh;background:#000}
.strip{display:flex;flex-wrap:wrap;gap:6px}figure{margin:0}figcaption{font-size:12px;opacity:.75}
figure img{height:135px;display:block}
table{border-collapse:collapse;width:100%}
td,th{padding:3px 8px;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
td.bar{width:100%;padding:3px 0}svg{display:block;width:100%;height:18px;background:var(--faint)}
rect{cursor:pointer}rect:focus{outline:2px solid}
.dot{display:inline-block;width:.8em;height:.8em;border:1px solid var(--line);margin-right:.4em}
"""
_SCRIPT = """
const film = document.querySelector('video');
for (const bar of film ? document.querySelectorAll('rect') : []) {
  const go = () => {
    film.currentTime = bar.dataset.time;
    film.scrollIntoView({block: 'nearest'});
  };
  bar.addEventListener('click', go);
  bar.addEventListener('keydown', (e) => { if (e.key === 'Enter') go(); });
}
"""


@dataclass(frozen=True)
class ObjectRow:
    """An object on the page.

    Args:
        number: of the object.
        name: of its class.
        score: 0-1.
        color: RGB, 0-255.
        num_frames: in which it was found.
        runs: ``(first, last)`` times in seconds between which it was found.
    """

    number: int
    name: str
    score: float
    color: tuple[int, int, int]
    num_frames: int
    runs: Sequence[tuple[float, float]]


def format_video_page(
    title: str,
    facts: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, np.ndarray]],
    objects: Sequence[ObjectRow],
    times: tuple[float, float],
    film: str = "",
) -> str:
    """Return the page of a video.

    Args:
        title: of the page.
        facts: names and values, listed below it.
        pictures: captions, and frames with their objects drawn, uint8 RGB ``(H, W, 3)``.
        objects: for the timeline, in its order.
        times: of the first frame and of the end of the last one, in seconds.
        film: path of the film from the page; "" for none.
    """
    listed = "".join(f"<dt>{html.escape(k)}<dd>{html.escape(v)}" for k, v in facts)
    player = f'<video src="{html.escape(film)}" controls muted preload="metadata"></video>'
    rows = "".join(_row(each, times) for each in objects)
    head = "<tr><th>object<th>class<th>score<th>frames<th>when"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><dl>{listed}</dl>{player if film else ''}"
        f'<h2>Frames</h2><div class="strip">{"".join(_figure(*each) for each in pictures)}</div>'
        f"<h2>Objects</h2>{f'<table>{head}{rows}</table>' if objects else '<p>None was found.'}"
        f"<script>{_SCRIPT}</script>\n"
    )


def make_thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return a picture uint8 ``(H, W, 3)`` made at most 180 rows high."""
    height, width = picture.shape[:2]
    if height <= _THUMBNAIL_ROWS:
        return picture
    size = (max(round(width * _THUMBNAIL_ROWS / height), 1), _THUMBNAIL_ROWS)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _figure(caption: str, picture: np.ndarray) -> str:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    url = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
    text = html.escape(caption)
    return f'<figure><img src="{url}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _row(row: ObjectRow, times: tuple[float, float]) -> str:
    start, end = times
    scale = _BARS / max(end - start, 1e-9)
    color = "#" + bytes(row.color).hex()
    bars = "".join(
        f'<rect x="{(first - start) * scale:.2f}" width="{max((last - first) * scale, 1):.2f}" '
        f'height="18" fill="{color}" tabindex="0" data-time="{first - start:.3f}">'
        f"<title>{first:.2f} to {last:.2f} s</title></rect>"
        for first, last in row.runs
    )
    return (
        f'<tr><td><span class="dot" style="background:{color}"></span>{row.number}'
        f"<td>{html.escape(row.name)}<td>{row.score:.2f}<td>{row.num_frames}"
        f'<td class="bar"><svg viewBox="0 0 {_BARS} 18" preserveAspectRatio="none">{bars}</svg>'
    )
