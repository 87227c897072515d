"""Compare pipelines on the same videos: scores, sizes, times and pictures on one page.

A method is the configuration of a pipeline. The table shows its PIPELINE.TITLE and
PIPELINE.TRAINING; a method whose weights are missing, or that names none, is listed as not run.

Shapes: ``N`` videos, ``H`` rows, ``W`` columns; masks are uint8 class maps.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.config.loading import load_config
from vps_d2.config.pipeline import load_pipeline_config, model_nodes
from vps_d2.d2.config import CfgNode
from vps_d2.data.layout import LAYOUT_FILE, read_layout
from vps_d2.data.metadata import describe_classes
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import (
    find_videos,
    read_frames,
)
from vps_d2.evaluation.compare import load_masks, score_masks
from vps_d2.evaluation.metrics import JaccardIndex
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.download import is_address, may_fetch
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls, escape_markdown
from vps_d2.io.files import write_errors, write_text
from vps_d2.io.resources import config_path, local_path
from vps_d2.visualization.drawing import colorize_mask
from vps_d2.visualization.pages import format_page

_NUM_PICTURES = 12


@dataclass
class Method:
    """One row of the table.

    Args:
        name: of its configuration file.
        cfg: its configuration.
        missing: weights that do not exist.
        masks: predicted masks, ``(N, H, W)``; None if it was not run.
        scores: of :func:`score_masks`.
        segmentation: Jaccard index of its segmenter on the true frames.
        parameters: of all its models.
        milliseconds: per video.
        per_video: mean Jaccard index of the objects of each video, ``(N,)``.
    """

    name: str
    cfg: CfgNode
    missing: list[str] = field(default_factory=list)
    masks: np.ndarray | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    segmentation: float = float("nan")
    parameters: int = 0
    milliseconds: float = float("nan")
    per_video: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def title(self) -> str:
        """The name in the table."""
        return self.cfg.PIPELINE.TITLE or self.name


def find_methods(folder: str | Path, opts: Sequence[str] = ()) -> list[Method]:
    """Read every configuration of a folder.

    Args:
        folder: such as ``configs/pipeline``, which means the shipped one if there is no other.
        opts: keys and values that override each configuration.

    Raises:
        UserError: if the folder holds no configuration, or one is wrong.
    """
    methods = []
    for path in sorted(Path(config_path(folder)).glob("*.yaml")):
        cfg = load_pipeline_config(path, opts)
        missing = [_missing_weights(node) for node in model_nodes(cfg) if node.CONFIG_FILE]
        methods.append(Method(path.stem, cfg, [name for name in missing if name]))
    if not methods:
        raise UserError(f"{folder} holds no configuration; give a folder such as configs/pipeline.")
    return methods


def _missing_weights(node: CfgNode) -> str:
    """Return the name of a model's missing weights; "" if they exist or can be fetched."""
    weights = local_path(node.WEIGHTS or load_config(node.CONFIG_FILE).MODEL.WEIGHTS)
    if not weights:
        return f"weights of {Path(node.CONFIG_FILE).name}"
    if is_address(weights):
        return "" if may_fetch(weights) else weights
    return "" if Path(weights).is_file() else Path(weights).name


@dataclass(frozen=True)
class Target:
    """The task that all methods are given.

    Args:
        masks: true ones, ``(N, H, W)``.
        taxonomy: of the masks.
        num_known: number of input frames.
        mask_number: the frame that the masks are of, counted from 1.
    """

    masks: np.ndarray
    taxonomy: Taxonomy
    num_known: int
    mask_number: int


def run_methods(methods: Sequence[Method], root: str | Path) -> Target:
    """Run all methods whose weights exist, and fill in their results.

    Args:
        methods: changed in place.
        root: folder of labeled videos.

    Returns:
        the task that they were given, with the true masks.

    Raises:
        UserError: if a video or a configuration cannot be read, the methods predict different
            frames or other classes than the videos have, or no method has weights.
    """
    folders = find_videos(root)
    taxonomy = read_layout(root).taxonomy
    target: Target | None = None
    for method in methods:
        if method.missing:
            continue
        pipeline = FutureMaskPredictor.from_config(method.cfg)
        if pipeline.taxonomy.thing_classes != taxonomy.thing_classes:
            raise UserError(
                f"{method.name} knows {describe_classes(pipeline.taxonomy)}, but the videos in "
                f"{root} have {describe_classes(taxonomy)}; compare methods trained on the "
                f"classes of the videos, and list these in {LAYOUT_FILE}."
            )
        asked = (pipeline.num_known, pipeline.find_target(pipeline.num_known))
        if target is None:
            masks = load_masks(Path(root), taxonomy, asked[1] - 1)
            target = Target(masks, taxonomy, *asked)
        if asked != (target.num_known, target.mask_number):
            raise UserError(
                f"{method.name} predicts frame {asked[1]} from {asked[0]} frames, but others "
                f"frame {target.mask_number} from {target.num_known}; compare methods with the "
                "same task."
            )
        _run(method, pipeline, folders, target)
    if target is None:
        raise UserError(
            f"none of the {len(methods)} methods has weights ({', '.join(methods[0].missing)} are "
            "missing); train one first."
        )
    return target


def _run(
    method: Method, pipeline: FutureMaskPredictor, folders: Sequence[Path], target: Target
) -> None:
    needed = [*range(target.num_known), target.mask_number - 1]
    masks, segmented, seconds = [], [], 0.0
    starts = range(0, len(folders), pipeline.batch_size)
    for start in tqdm(starts, desc=escape_controls(method.name), unit="batch"):
        batch = folders[start : start + pipeline.batch_size]
        clips = np.stack([read_frames(folder, needed) for folder in batch])
        begin = time.perf_counter()
        predictions = pipeline(clips[:, :-1])
        seconds += time.perf_counter() - begin
        masks += [prediction.mask for prediction in predictions]
        segmented.append(pipeline.segment(clips[:, -1]))
    method.masks = np.stack(masks)
    method.scores = score_masks(method.masks, target.masks, target.taxonomy)
    alone = score_masks(np.concatenate(segmented), target.masks, target.taxonomy)
    method.segmentation = alone["jaccard"]
    models = (pipeline.predictor, pipeline.segmenter, pipeline.mask_predictor)
    method.parameters = sum(
        parameter.numel()
        for loaded in models
        if loaded is not None
        for parameter in loaded.model.parameters()
    )
    method.milliseconds = 1000 * seconds / len(folders)
    method.per_video = np.array(
        [
            _score_video(guess, true, target.taxonomy.num_classes)
            for guess, true in zip(method.masks, target.masks, strict=True)
        ]
    )


def _score_video(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> float:
    """Return the mean Jaccard index of the objects in either mask; 1 if there are none."""
    index = JaccardIndex(num_classes)
    index.update(predicted, truth)
    objects = index.per_class()[1:]
    return 1.0 if np.isnan(objects).all() else float(np.nanmean(objects))


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
    ran = sorted((m for m in methods if m.scores), key=lambda m: -m.scores["jaccard"])
    rows: list[tuple[str, ...]] = []
    for method in ran:
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


def choose_videos(methods: Sequence[Method], count: int = _NUM_PICTURES) -> list[int]:
    """Return videos to show: each method's best and worst, then others at even distances."""
    ran = [method for method in methods if method.scores]
    if not ran:
        return []
    total = len(ran[0].per_video)
    extremes = [int(index) for m in ran for index in (m.per_video.argmax(), m.per_video.argmin())]
    spread = [int(index) for index in np.linspace(0, total - 1, min(count, total))]
    chosen = list(dict.fromkeys([*extremes, *spread]))
    return sorted(chosen[: max(count, len(set(extremes)))])


def format_html(methods: Sequence[Method], root: str | Path, target: Target, title: str) -> str:
    """Return a self-contained HTML page, which opens without a server.

    Args:
        methods: that were run.
        root: folder of the videos.
        target: the task that they were given.
        title: of the page.
    """
    ran = [method for method in methods if method.scores]
    tables = [(title, table_header(target), table_rows(methods))]
    if ran:
        names = list(ran[0].scores["per_class"])
        scores = [[method.scores["per_class"][name] for method in ran] for name in names]
        cells = [
            (name, *("" if score is None else f"{score:.3f}" for score in row))
            for name, row in zip(names, scores, strict=True)
        ]
        tables.append(("Classes", ("class", *(method.title for method in ran)), cells))
    return format_page(title, tables, _picture_rows(ran, find_videos(root), target), _note(target))


def _note(target: Target) -> str:
    return (
        f"Every method sees the first {target.num_known} frames of a video, and predicts the mask "
        f"of frame {target.mask_number}. Segmentation alone is the score of its segmenter on the "
        f"true frame {target.mask_number}. The number below a predicted mask is the mean Jaccard "
        "index of the objects in that video."
    )


def _picture_rows(
    ran: Sequence[Method], folders: Sequence[Path], target: Target
) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    rows = []
    for index in choose_videos(ran):
        numbers = (target.num_known, target.mask_number)
        frames = read_frames(folders[index], [number - 1 for number in numbers])
        pictures = [(f"frame {n}", frame) for n, frame in zip(numbers, frames, strict=True)]
        pictures.append(("true mask", colorize_mask(target.masks[index], target.taxonomy)))
        for method in ran:
            assert method.masks is not None
            label = f"{method.title}: {method.per_video[index]:.2f}"
            pictures.append((label, colorize_mask(method.masks[index], target.taxonomy)))
        rows.append((folders[index].name, pictures))
    return rows


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
