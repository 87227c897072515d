"""Pages of tables and pictures in one HTML file, which opens without a server."""

import base64
import html
from collections.abc import Sequence

import numpy as np

from vps_d2.data.video import encode_frame

_STYLE = (
    "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:3px 8px;text-align:left}"
    "figure{display:inline-block;margin:2px}figcaption{font-size:12px}"
    "img{width:240px;image-rendering:pixelated}"
)

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""A heading, the names of the columns, and the cells of the rows."""


def format_page(
    title: str,
    tables: Sequence[Table],
    picture_rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]],
    note: str = "",
) -> str:
    """Return a page: the first table, the pictures, then the other tables.

    Args:
        title: of the page.
        tables: to show; text in them is escaped.
        picture_rows: for each row a heading, and uint8 RGB pictures ``(H, W, 3)`` with captions.
        note: text below the first table.
    """
    first = _table(*tables[0], level=1)
    others = (_table(*table, level=2) for table in tables[1:])
    pictures = "".join(_figures(*row) for row in picture_rows)
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style>{first}<p>{html.escape(note)}</p>"
        f"<h2>Videos</h2>{pictures}{''.join(others)}"
    )


def _table(
    heading: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, level: int
) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    title = f"<h{level}>{html.escape(heading)}</h{level}>"
    return f"{title}<table><tr>{head}</tr>{body}</table>"


def _figures(heading: str, pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    figures = "".join(
        f"<figure><img src='{_data_url(picture)}'><figcaption>{html.escape(text)}"
        "</figcaption></figure>"
        for text, picture in pictures
    )
    return f"<h3>{html.escape(heading)}</h3>{figures}"


def _data_url(picture: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_frame(picture).tobytes()).decode()}"
