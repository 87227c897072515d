"""What the leaderboard writes: a table in Markdown, figures in JSON, and a page to look at."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vps_d2.data.video import find_videos, read_frames
from vps_d2.evaluation.leaderboard import Method, Target
from vps_d2.io.escape import escape_markdown
from vps_d2.io.files import write_errors, write_text
from vps_d2.visualization.future_page import (
    FuturePage,
    PageMask,
    PageRow,
    PageTable,
    PageVideo,
    format_future_page,
)

_NUM_VIDEOS = 12


def table_header(target: Target) -> tuple[str, ...]:
    """Return the names of the columns of :func:`table_rows`."""
    return (
        "method",
        f"Jaccard of frame {target.mask_number}",
        "95 % interval",
        "segmentation alone",
        "parameters",
        "ms per video",
        "training",
    )


def table_rows(methods: Sequence[Method]) -> list[tuple[str, ...]]:
    """Return the cells of the table, the best method first, and those not run last."""
    rows: list[tuple[str, ...]] = []
    for method in _rank(methods):
        low, high = method.scores["jaccard_interval"]
        rows.append(
            (
                method.title,
                f"{method.scores['jaccard']:.3f}",
                f"{low:.3f} - {high:.3f}",
                f"{method.segmentation:.3f}",
                f"{method.parameters / 1e6:.1f} M",
                f"{method.milliseconds:.0f}",
                method.cfg.PIPELINE.TRAINING,
            )
        )
    for method in methods:
        if not method.scores:
            note = f"not run: {', '.join(method.missing)} missing"
            rows.append((method.title, "", "", "", "", "", note))
    return rows


def format_markdown(methods: Sequence[Method], target: Target, title: str) -> str:
    """Return the table in Markdown."""
    header = table_header(target)
    lines = [
        f"# {escape_markdown(title)}",
        "",
        _markdown_row(header),
        _markdown_row(("---",) * len(header)),
    ]
    return "\n".join([*lines, *map(_markdown_row, table_rows(methods))]) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape_markdown, cells))} |"


def choose_videos(methods: Sequence[Method], count: int = _NUM_VIDEOS) -> list[int]:
    """Return videos to show: each method's best and worst, then others at even distances."""
    ran = [method for method in methods if method.scores]
    if not ran:
        return []
    total = len(ran[0].per_video)
    extremes = [int(index) for m in ran for index in (m.per_video.argmax(), m.per_video.argmin())]
    spread = [int(index) for index in np.linspace(0, total - 1, min(count, total))]
    chosen = list(dict.fromkeys([*extremes, *spread]))
    return sorted(chosen[: max(count, len(set(extremes)))])


def _rank(methods: Sequence[Method]) -> list[Method]:
    """Return the methods that were run, the best one first."""
    return sorted((m for m in methods if m.scores), key=lambda m: -m.scores["jaccard"])


def format_html(methods: Sequence[Method], root: str | Path, target: Target, title: str) -> str:
    """Return a self-contained HTML page, which opens without a server.

    Args:
        methods: that were run.
        root: folder of the videos.
        target: the task that they were given.
        title: of the page.
    """
    ran = _rank(methods)
    missing = [
        PageRow(m.title, f"not run: {', '.join(m.missing)} missing")
        for m in methods
        if not m.scores
    ]
    header = table_header(target)
    page = FuturePage(
        title=title,
        note=_note(target),
        header=(header[0], header[1], *header[3:6]),
        rows=[*map(_page_row, ran), *missing],
        videos=_page_videos(ran, find_videos(root), target),
        taxonomy=target.taxonomy,
        num_known=target.num_known,
        tables=[_classes_table(ran)] if ran else [],
    )
    return format_future_page(page)


def _page_row(method: Method) -> PageRow:
    return PageRow(
        method.title,
        method.cfg.PIPELINE.TRAINING,
        method.scores["jaccard"],
        tuple(method.scores["jaccard_interval"]),
        cells=(
            f"{method.segmentation:.3f}",
            f"{method.parameters / 1e6:.1f} M",
            f"{method.milliseconds:.0f}",
        ),
    )


def _classes_table(ran: Sequence[Method]) -> PageTable:
    cells = []
    for name in ran[0].scores["per_class"]:
        scores = [method.scores["per_class"][name] for method in ran]
        cells.append((name, *("" if score is None else f"{score:.3f}" for score in scores)))
    return PageTable("Scores by class", ("class", *(method.title for method in ran)), cells)


def _note(target: Target) -> str:
    return (
        f"Every method sees the first {target.num_known} frames of a video, and predicts the mask "
        f"of frame {target.mask_number}. Segmentation alone is the score of its segmenter on the "
        f"true frame {target.mask_number}. The line over a bar is the 95 % bootstrap interval over "
        "videos. The score of a video is the mean Jaccard index of the objects in it."
    )


def _page_videos(ran: Sequence[Method], folders: Sequence[Path], target: Target) -> list[PageVideo]:
    videos = []
    for index in choose_videos(ran):
        masks = []
        for method in ran:
            assert method.masks is not None
            score = float(method.per_video[index])
            masks.append(PageMask(method.masks[index], score, method.paths[index]))
        frames = read_frames(folders[index], range(target.mask_number))
        videos.append(PageVideo(folders[index].name, frames, target.masks[index], masks))
    return videos


def write_leaderboard(
    methods: Sequence[Method], root: str | Path, target: Target, out: str | Path
) -> list[Path]:
    """Write ``leaderboard.md``, ``.json`` and ``.html``; values not measured are null in JSON.

    Returns:
        their paths.

    Raises:
        UserError: if they cannot be written.
    """
    out = Path(out)
    title = f"Leaderboard on {Path(root).name} ({len(target.masks)} videos)"
    report = {
        method.name: {
            "title": method.title,
            "training": method.cfg.PIPELINE.TRAINING,
            "missing": method.missing,
            "segmentation": _finite(method.segmentation),
            "parameters": method.parameters,
            "milliseconds": _finite(method.milliseconds),
            "per_video": method.per_video.tolist(),
            **method.scores,
        }
        for method in methods
    }
    contents = {
        "leaderboard.md": format_markdown(methods, target, title),
        "leaderboard.json": json.dumps(report, indent=2, allow_nan=False) + "\n",
        "leaderboard.html": format_html(methods, root, target, title),
    }
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        write_text(out / name, text)
    return [out / name for name in contents]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
