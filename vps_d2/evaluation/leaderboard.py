"""Compare pipelines on the same videos: their scores, sizes and times.

A method is the configuration of a pipeline. The table shows its PIPELINE.TITLE and
PIPELINE.TRAINING; a method whose weights are missing, or that names none, is listed as not run.

Shapes: ``N`` videos, ``H`` rows, ``W`` columns; masks are uint8 class maps.
"""

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
from vps_d2.data.paths import ObjectPath
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
from vps_d2.io.escape import escape_controls
from vps_d2.io.resources import config_path, local_path


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
        paths: of the objects of each video, if its mask predictor follows them.
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
    paths: list[Sequence[ObjectPath]] = field(default_factory=list)

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
        method.paths += [prediction.paths for prediction in predictions]
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
            score_video(guess, true, target.taxonomy.num_classes)
            for guess, true in zip(method.masks, target.masks, strict=True)
        ]
    )


def score_video(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> float:
    """Return the mean Jaccard index of the objects in either mask; 1 if there are none."""
    index = JaccardIndex(num_classes)
    index.update(predicted, truth)
    objects = index.per_class()[1:]
    return 1.0 if np.isnan(objects).all() else float(np.nanmean(objects))
