"""The causes of errors in masks that ObjectDynamics predicts, in points of the Jaccard index.

The share of a cause is what the index gains when it is repaired
(:mod:`vps_d2.modeling.object_dynamics.repairs`).
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.data.video import (
    MASK_FILE,
    FaultError,
    find_videos,
    read_frames,
    read_masks,
)
from vps_d2.evaluation.leaderboard import score_video
from vps_d2.evaluation.metrics import JaccardIndex
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.errors import UserError
from vps_d2.modeling.object_dynamics import ObjectDynamics
from vps_d2.modeling.object_dynamics.repairs import CAUSES, Repairs, repair
from vps_d2.modeling.precision import inference_autocast

_LOST = 0.5
"""Jaccard index below which an object is lost."""


@dataclass(frozen=True)
class LostObject:
    """An object whose Jaccard index is below 0.5.

    Args:
        video: name of its video.
        class_id: class number.
        jaccard: index of the object in this video.
        cause: the one of CAUSES whose repair adds most to it.
    """

    video: str
    class_id: int
    jaccard: float
    cause: str


@dataclass(frozen=True)
class RepairedVideo:
    """A video to show.

    Args:
        folder: of the video.
        repairs: of its prediction.
        score: of the prediction, the mean Jaccard index of the objects.
    """

    folder: Path
    repairs: Repairs
    score: float


@dataclass(frozen=True)
class ErrorSplit:
    """The errors of a pipeline by cause.

    Args:
        figures: ``jaccard`` of the predictions; ``steps``, that after each repair; ``lost``, by
            CAUSES, which add up to one minus the first; ``num_objects`` in the true masks, by
            whether they meet others or were never seen.
        objects: the lost ones, in order of the videos.
        videos: those with the lowest scores, the lowest first.
    """

    figures: dict[str, Any]
    objects: list[LostObject]
    videos: list[RepairedVideo]


def find_lost(video: str, repairs: Repairs, num_classes: int) -> list[LostObject]:
    """Return the lost objects of a video, also those that are predicted but not there."""
    scores = []
    for mask in (*repairs.masks, repairs.truth):
        index = JaccardIndex(num_classes)
        index.update(mask, repairs.truth)
        # A class that is in neither mask is right.
        scores.append(np.nan_to_num(index.per_class(), nan=1.0))
    gains = np.diff(scores, axis=0)
    return [
        LostObject(video, number, float(scores[0][number]), CAUSES[gains[:, number].argmax()])
        for number in np.flatnonzero(scores[0] < _LOST).tolist()
        if number
    ]


def split_errors(
    pipeline: FutureMaskPredictor, root: str | Path, num_videos: int = 0
) -> ErrorSplit:
    """Divide what is missing from a Jaccard index of 1 by cause.

    Args:
        pipeline: whose mask predictor is an ``ObjectDynamics``.
        root: folder of labeled videos.
        num_videos: how many videos to keep to show them.

    Raises:
        UserError: if the pipeline has no ``ObjectDynamics``, or a video cannot be read.
    """
    predictor = pipeline.mask_predictor
    if predictor is None or not isinstance(predictor.model, ObjectDynamics):
        raise UserError(
            "split-errors only works for ObjectDynamics; give a pipeline with it as mask "
            "predictor, such as configs/pipeline/unet_object_dynamics.yaml."
        )
    target = predictor.clip.target_frames(pipeline.num_known)[-1]
    indices = [JaccardIndex(pipeline.taxonomy.num_classes) for _ in range(len(CAUSES))]
    counts = np.zeros(3, np.int64)
    objects: list[LostObject] = []
    videos: list[RepairedVideo] = []
    for folder in tqdm(find_videos(root), unit="video"):
        frames = read_frames(folder, predictor.clip.input_frames(pipeline.num_known))
        masks = read_masks(folder, pipeline.taxonomy.num_classes)
        if len(masks) <= target:
            reason = f"mask with {len(masks)} frames, without frame {target + 1}"
            raise FaultError(folder / MASK_FILE, reason)
        if masks.shape[1:] != frames.shape[1:3]:
            reason = f"masks have the size {masks.shape[1:]}, frames {frames.shape[1:3]}"
            raise FaultError(folder / MASK_FILE, reason, "give the masks of these frames")
        segmented = pipeline.segment_videos(frames[None])[0]
        repairs = repair(
            predictor.model, segmented, masks, pipeline.num_known, inference_autocast(predictor.cfg)
        )
        for index, mask in zip(indices, repairs.masks, strict=True):
            index.update(mask, repairs.truth)
        counts += repairs[2:5]
        objects += find_lost(folder.name, repairs, pipeline.taxonomy.num_classes)
        score = score_video(repairs.masks[0], repairs.truth, pipeline.taxonomy.num_classes)
        videos.append(RepairedVideo(folder, repairs, score))
        videos = sorted(videos, key=lambda video: video.score)[:num_videos]
    scores = [index.macro() for index in indices] + [1.0]
    figures = {
        "jaccard": scores[0],
        "steps": scores[1:],
        "lost": {
            cause: after - before
            for cause, (before, after) in zip(CAUSES, itertools.pairwise(scores), strict=True)
        },
        "num_objects": dict(
            zip(("without contact", "with contact", "never seen"), counts.tolist(), strict=True)
        ),
    }
    return ErrorSplit(figures, objects, videos)


def format_split(split: dict[str, Any]) -> str:
    """Return the figures of an :class:`ErrorSplit` as text and a Markdown table."""
    lines = [
        f"Jaccard of frame 22: {split['jaccard']:.3f}",
        "",
        "| lost to | Jaccard |",
        "|---|---|",
    ]
    lines += [f"| {cause} | {lost:.3f} |" for cause, lost in split["lost"].items()]
    counts = ", ".join(f"{count} {name}" for name, count in split["num_objects"].items())
    return "\n".join([*lines, "", f"Objects of frame 22: {counts}."])
