"""The page of future masks: who scores what, and what is wrong in which video.

It is one HTML file that opens without a server or a network. The table is plain HTML; the script
draws the videos from the data in the page. The same page shows methods and the causes of errors.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns. Masks are uint8 class maps.
"""

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import cv2
import numpy as np

from vps_d2.data.paths import ObjectPath
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.io.escape import escape_controls

_MAX_SIZE = 320
"""Pixels of the longer side of a frame on the page."""
_MAX_FRAMES = 48
_QUALITIES = (85, 75, 65, 55, 45, 35, 25)
_FILM_BYTES = 2_700_000
"""Of all films together, before base64 makes them a third larger: leaves the page below 5 MB."""
_RUN_BITS = 24


@dataclass(frozen=True)
class PageRow:
    """A row of the table: a method, or a step of repairing its errors.

    Args:
        title: of the row.
        note: small text below it.
        score: 0-1; None if it has none.
        interval: of the score.
        start: where the bar starts; 0 but for what is added to an earlier score.
        cells: of the other columns.
    """

    title: str
    note: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    start: float = 0.0
    cells: Sequence[str] = ()


@dataclass(frozen=True)
class PageMask:
    """What a row predicts for a video.

    Args:
        mask: ``(H, W)``.
        score: of this video, 0-1.
        paths: of the objects, in pixels of the frames.
    """

    mask: np.ndarray
    score: float
    paths: Sequence[ObjectPath] = ()


@dataclass(frozen=True)
class PageVideo:
    """A video on the page.

    Args:
        name: of the video.
        frames: uint8 RGB ``(T, H, W, 3)``, from the first one to that of the mask.
        truth: the true mask of the last of these frames, ``(H, W)``.
        masks: for each row with a score, in their order.
        causes: why objects are lost, by class number.
    """

    name: str
    frames: np.ndarray
    truth: np.ndarray
    masks: Sequence[PageMask]
    causes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PageTable:
    """A further table, below the videos.

    Args:
        title: of the table.
        header: names of its columns.
        rows: of cells.
        videos: for each row the index of the video on the page that it is about, None for none;
            () if the table is about no videos.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    videos: Sequence[int | None] = ()


@dataclass(frozen=True)
class FuturePage:
    """All that the page shows.

    Args:
        title: of the page.
        note: what the table means.
        header: names of the columns: of the title, of the score, and of the cells.
        rows: of the table, in its order; those without a score come last.
        videos: to look at.
        taxonomy: of the masks.
        num_known: number of input frames.
        tables: further ones.
        extremes: whether the best and the worst video of each row are among the videos, and shown.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[PageRow]
    videos: Sequence[PageVideo]
    taxonomy: Taxonomy
    num_known: int
    tables: Sequence[PageTable] = ()
    extremes: bool = True


def format_future_page(page: FuturePage) -> str:
    """Return the page as HTML."""
    static = files("vps_d2.visualization") / "static"
    style, viewer, masks, script = (
        (static / f"future_page{ending}").read_text(encoding="utf-8")
        for ending in (".css", ".html", "_masks.js", ".js")
    )
    title = _escape(page.title)
    tables = "".join(map(_table, page.tables))
    # "<" never appears in the data, so nothing in it can end the element that holds it.
    data = json.dumps(_data(page), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{style}</style>"
        f'<header><h1>{title}</h1><button id="theme" type="button" hidden></button></header>'
        f'<main>{_scores(page)}<p class="note">{_escape(page.note)}</p>'
        f"{viewer if page.videos else ''}{tables}</main>"
        f'<script type="application/json" id="data">{data}</script>'
        f"<script>{masks}\n{script}</script>\n"
    )


def encode_film(frames: np.ndarray, max_bytes: float) -> str:
    """Return frames below each other in one JPEG, as a ``data:`` address.

    Args:
        frames: uint8 RGB ``(T, H, W, 3)``.
        max_bytes: the quality is lowered until the file is smaller, down to a limit.
    """
    stacked = cv2.cvtColor(np.concatenate(list(frames)), cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        _, encoded = cv2.imencode(".jpg", stacked, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(encoded) <= max_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def encode_runs(mask: np.ndarray) -> str:
    """Return a mask ``(H, W)`` as base64 of runs of equal values, row by row.

    A run is a little-endian 32-bit number: the value in the highest byte, the length below it.
    """
    values = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    runs = (values[starts[:-1]].astype("<u4") << _RUN_BITS) | np.diff(starts).astype("<u4")
    return base64.b64encode(runs.astype("<u4").tobytes()).decode()


def _escape(text: str) -> str:
    return html.escape(escape_controls(text))


def _data(page: FuturePage) -> dict[str, Any]:
    """Return what the script draws, as JSON values."""
    if not page.videos:
        return {}
    scored = [row for row in page.rows if row.score is not None]
    return {
        "known": page.num_known,
        "names": list(page.taxonomy.class_names),
        "colors": [f"#{bytes(color).hex()}" for color in page.taxonomy.palette],
        "rows": [row.title for row in scored],
        "videos": [_video(video, _FILM_BYTES / len(page.videos)) for video in page.videos],
    }


def _video(video: PageVideo, max_bytes: float) -> dict[str, Any]:
    frames = video.frames[-_MAX_FRAMES:]
    height, width = frames.shape[1:3]
    scale = min(1.0, _MAX_SIZE / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    if scale < 1:
        frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])

    def shrink(mask: np.ndarray) -> str:
        same = mask.shape == (size[1], size[0])
        return encode_runs(
            mask if same else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        )

    return {
        "name": escape_controls(video.name),
        "width": size[0],
        "height": size[1],
        "first": len(video.frames) - len(frames) + 1,
        "count": len(frames),
        "film": encode_film(frames, max_bytes),
        "truth": shrink(video.truth),
        "causes": {str(number): cause for number, cause in video.causes.items()},
        "rows": [
            {
                "mask": shrink(each.mask),
                "score": round(each.score, 4),
                "paths": [_path(path, scale) for path in each.paths],
            }
            for each in video.masks
        ],
    }


def _path(path: ObjectPath, scale: float) -> dict[str, Any]:
    points, futures = (
        np.nan_to_num(each * scale, posinf=1e4, neginf=-1e4).clip(-1e4, 1e4).round(1).tolist()
        for each in (path.points, path.futures)
    )
    return {
        "class": path.class_id,
        "points": points,
        "futures": futures,
        "shares": [round(float(share), 2) for share in np.nan_to_num(path.probabilities)],
    }


def _scores(page: FuturePage) -> str:
    """Return the table of scores, each beside its bar."""
    highest = [max(row.score or 0, *(row.interval or (0,))) for row in page.rows]
    top = min(max(math.ceil(max(highest, default=1) * 10 + 0.2), 2), 10) / 10
    step = 0.1 if top < 0.65 else 0.2
    marks = [number * step for number in range(math.floor(top / step + 1e-9) + 1)]
    ticks = "".join(f'<i style="--at:{mark / top:.4f}">{mark:.1f}</i>' for mark in marks)
    first, score, *others = map(_escape, page.header)
    ends = '<th scope="col">best and worst video' if page.videos and page.extremes else ""
    head = (
        f'<th scope="col"><span class="unseen">rank</span><th scope="col">{first}'
        f'<th scope="col" class="number">{score}<th class="scale"><div class="ticks">{ticks}</div>'
        + "".join(f'<th scope="col" class="number">{name}' for name in others)
        + ends
    )
    body, rank = "", 0
    for row in page.rows:
        rank += row.score is not None
        body += _score_row(row, rank, top, step, page)
    return f'<div class="scroll"><table class="scores"><thead><tr>{head}<tbody>{body}</table></div>'


def _score_row(row: PageRow, rank: int, top: float, step: float, page: FuturePage) -> str:
    name = f'<th scope="row">{_escape(row.title)}<small>{_escape(row.note)}</small>'
    if row.score is None:
        return f'<tr class="missing"><td>{name}<td colspan="{len(page.header) + 1}">'
    low, high = sorted((row.start, row.score))
    places = {"start": low / top, "end": high / top, "step": step / top}
    whisker = text = ""
    if row.interval is not None:
        places |= {"low": row.interval[0] / top, "high": row.interval[1] / top}
        whisker = "<b></b>"
        text = f"<small>{row.interval[0]:.3f} - {row.interval[1]:.3f}</small>"
    style = ";".join(f"--{name}:{place:.4f}" for name, place in places.items())
    kind = " loss" if row.score < row.start else ""
    cells = "".join(f'<td class="number">{_escape(cell)}' for cell in row.cells)
    return (
        f'<tr><td class="rank">{rank}{name}<td class="number score">{row.score:.3f}{text}'
        f'<td class="scale"><div class="bar{kind}" style="{style}"><i></i>{whisker}</div>'
        f"{cells}{_ends(page, rank - 1)}"
    )


def _ends(page: FuturePage, row: int) -> str:
    """Return buttons that show the best and the worst video of a row."""
    if not (page.videos and page.extremes):
        return ""
    scores = [video.masks[row].score for video in page.videos]
    buttons = ""
    for word, mark, index in (
        ("best", "▲", int(np.argmax(scores))),
        ("worst", "▼", int(np.argmin(scores))),
    ):
        name = _escape(page.videos[index].name)
        buttons += (
            f'<button type="button" class="{word}" data-video="{index}" data-row="{row}" '
            f'title="{name}: the {word} video"><span>{mark}</span> {scores[index]:.2f}'
            f'<span class="unseen">, {word} video, {name}</span></button>'
        )
    return f'<td class="ends">{buttons}'


def _table(table: PageTable) -> str:
    head = "".join(f'<th scope="col">{_escape(cell)}' for cell in table.header)
    body = ""
    for number, (first, *cells) in enumerate(table.rows):
        video = table.videos[number] if table.videos else None
        text = _escape(first)
        if video is not None:
            text = f'<button type="button" data-video="{video}">{text}</button>'
        body += f'<tr><th scope="row">{text}' + "".join(f"<td>{_escape(cell)}" for cell in cells)
    opened = " open" if table.videos else ""
    return (
        f"<details{opened}><summary>{_escape(table.title)}</summary>"
        f'<div class="scroll"><table class="plain"><thead><tr>{head}<tbody>{body}</table></div>'
        "</details>"
    )
