"""Compare files of predictions with the truth, with bootstrap intervals over the videos.

Shapes: ``N`` videos, ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vps_d2.data.layout import VPS_LAYOUT, VideoLayout
from vps_d2.data.mappers import to_tensor
from vps_d2.data.metadata import describe_classes
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import (
    MASK_FILE,
    FaultError,
    check_classes,
    find_videos,
    open_masks,
    read_frames,
    read_mask,
    video_number,
)
from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex
from vps_d2.inference.hidden import PREDICTIONS_FILE
from vps_d2.io.arrays import open_array
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, read_json

_RESAMPLES = 2000


def load_masks(path: Path, taxonomy: Taxonomy, frame_index: int = -1) -> np.ndarray:
    """Read one mask of each video.

    Args:
        path: an ``.npy`` file, uint8 ``(N, H, W)``, or a folder of labeled videos.
        taxonomy: classes that the masks may hold.
        frame_index: which mask of a folder's videos, counted from 0; -1 for the last.

    Returns:
        uint8 ``(N, H, W)``, in order of the video number.

    Raises:
        UserError: if something is missing or of another shape or dtype.
    """
    if not path.is_dir():
        masks = open_masks(path)
        if masks.ndim != 3:
            raise UserError(
                f"{path}: masks must have the shape (N, H, W), not {masks.shape}; give another "
                "file."
            )
        check_classes(path, np.asarray(masks), taxonomy.num_classes)
        return masks
    found = [
        read_mask(folder / MASK_FILE, frame_index, taxonomy.num_classes)
        for folder in find_videos(path)
    ]
    for folder, mask in zip(find_videos(path), found, strict=True):
        if mask.shape != found[0].shape:
            raise FaultError(folder / MASK_FILE, f"mask of the wrong shape {mask.shape}")
    return np.stack(found)


@dataclass(frozen=True)
class Described:
    """The description of predictions, from the ``predictions.json`` beside them.

    Args:
        num_known: frames of a video that were given.
        frames: numbers of the predicted frames, counted from 1.
        mask_frame: number of the frame that the masks are of.
        classes: names of the object classes.
    """

    num_known: int
    frames: tuple[int, ...]
    mask_frame: int
    classes: tuple[str, ...]


def read_description(folder: Path) -> Described | None:
    """Read the description of a folder of predictions; None if it has none.

    Raises:
        UserError: if the file is damaged.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        return Described(
            int(content["num_known"]),
            tuple(int(number) for number in content["frames"]),
            int(content["mask_frame"]),
            tuple(str(name) for name in content["classes"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({error}); predict the videos again.") from error


def comparison_taxonomy(described: Described | None, layout: VideoLayout) -> Taxonomy:
    """Return the classes that masks are compared by.

    Args:
        described: the description of the predictions; None if there is none.
        layout: of the true masks.

    Raises:
        UserError: if the classes of both are known, and they differ.
    """
    if described is None:
        return layout.taxonomy
    taxonomy = Taxonomy(described.classes)
    # A truth without a description is only assumed to be of the vps data set.
    if layout != VPS_LAYOUT and taxonomy.thing_classes != layout.taxonomy.thing_classes:
        raise UserError(
            f"the predictions have {describe_classes(taxonomy)}, but the true masks have "
            f"{describe_classes(layout.taxonomy)}; give masks of the same classes."
        )
    return taxonomy


def check_order(predictions: Path, truth: Path) -> None:
    """Check that the ``videos.txt`` beside predictions lists the videos of a folder.

    Raises:
        UserError: if it does not.
    """
    names = predictions.with_name("videos.txt")
    if not truth.is_dir() or not names.is_file():
        return
    try:
        with open_regular(names) as file:
            predicted = [video_number(name) for name in file.read().decode().split()]
    except UnicodeDecodeError:
        predicted = []
    if predicted != [video_number(folder) for folder in find_videos(truth)]:
        raise UserError(
            f"{names} does not list the videos of {truth}; give the folder that the predictions "
            "are for."
        )


def score_masks(
    predicted: np.ndarray, truth: np.ndarray, taxonomy: Taxonomy, seed: int = 0
) -> dict[str, Any]:
    """Score masks by the Jaccard index.

    Args:
        predicted: uint8 ``(N, H, W)``.
        truth: of the same shape.
        taxonomy: of both.
        seed: of the bootstrap.

    Returns:
        ``jaccard`` (macro); ``jaccard_interval``, its 95 % bootstrap interval over the videos;
        ``per_class`` by name, None for a class that never occurs; ``num_videos``.

    Raises:
        UserError: if the shapes differ, or there is no video.
    """
    if not len(truth):
        raise UserError("there are no masks to score; give at least one.")
    if predicted.shape != truth.shape:
        raise UserError(
            f"predicted masks are {predicted.shape}, true ones {truth.shape}; "
            "give masks of the same videos."
        )
    num_classes = taxonomy.num_classes
    total = JaccardIndex(num_classes)
    intersections = np.zeros((len(truth), num_classes))
    unions = np.zeros_like(intersections)
    for index, (guess, true) in enumerate(zip(predicted, truth, strict=True)):
        single = JaccardIndex(num_classes)
        single.update(guess, true)
        total.confusion += single.confusion
        intersections[index] = np.diag(single.confusion)
        unions[index] = single.confusion.sum(0) + single.confusion.sum(1) - intersections[index]
    per_class = total.per_class()
    return {
        "jaccard": total.macro(),
        "jaccard_interval": _interval(intersections, unions, seed),
        "per_class": {
            name: None if np.isnan(score) else float(score)
            for name, score in zip(taxonomy.class_names, per_class, strict=True)
        },
        "num_videos": len(truth),
    }


def _interval(intersections: np.ndarray, unions: np.ndarray, seed: int) -> list[float]:
    count = len(unions)
    rng = np.random.default_rng(seed)
    # How often each video is drawn, so that sums over a resample are matrix products.
    draws = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(float)
    union = draws @ unions
    scores = np.divide(draws @ intersections, union, out=np.zeros_like(union), where=union > 0)
    macro = scores.sum(1) / np.maximum((union > 0).sum(1), 1)
    return [float(value) for value in np.quantile(macro, (0.025, 0.975))]


def score_frames(
    predicted: Path, truth: Path, numbers: Sequence[int], perceptual: Sequence[str] = ()
) -> dict[str, float]:
    """Score predicted frames.

    Args:
        predicted: folder of ``<video>.npy``, uint8 ``(T, H, W, 3)``, as ``vps-d2 predict
            --save-frames`` writes them.
        truth: folder of videos that hold these frames.
        numbers: which frames of the videos they are, counted from 1.
        perceptual: scores to add; see :class:`~vps_d2.evaluation.metrics.FrameErrors`.

    Returns:
        ``mse`` (values 0-255), ``psnr`` (dB), ``ssim``, the perceptual ones and ``num_videos``.

    Raises:
        UserError: if a file is missing, or of another shape or dtype, or a perceptual score cannot
            be computed here.
    """
    files = sorted(predicted.glob("video_*.npy"))
    if not files:
        raise UserError(
            f"{predicted} holds no video_<n>.npy; write them with vps-d2 predict --save-frames."
        )
    folders = {video_number(folder): folder for folder in find_videos(truth)}
    errors = FrameErrors(perceptual)
    for file in files:
        folder = folders.get(video_number(file.stem))
        if folder is None:
            raise UserError(
                f"{truth} holds no video for {file}; give the folder that the predictions are for."
            )
        try:
            guess = open_array(file)
        except (OSError, ValueError) as error:
            raise UserError(f"{file} cannot be read ({error}); predict it again.") from error
        if guess.dtype != np.uint8 or guess.ndim != 4:
            raise UserError(
                f"{file} is {guess.dtype} {guess.shape}, not uint8 (T, H, W, 3); predict it again."
            )
        true = read_frames(folder, [number - 1 for number in numbers])
        if guess.shape != true.shape:
            raise UserError(
                f"{file} has the shape {guess.shape}, but the frames of {folder} have "
                f"{true.shape}; predict it again."
            )
        errors.update(to_tensor(guess), to_tensor(true))
    return {**errors.compute(), "num_videos": len(files)}


def score_copied_frames(
    truth: Path, numbers: Sequence[int], num_known: int, perceptual: Sequence[str] = ()
) -> dict[str, float]:
    """Score the last known frame as a prediction of later ones.

    Args:
        truth: folder of videos that hold all of these frames.
        numbers: of the predicted frames, counted from 1.
        num_known: number of the last known frame.
        perceptual: as for :func:`score_frames`.

    Returns:
        as :func:`score_frames`.

    Raises:
        UserError: if a frame is missing or damaged.
    """
    errors = FrameErrors(perceptual)
    folders = find_videos(truth)
    for folder in folders:
        last, *true = read_frames(folder, [index - 1 for index in (num_known, *numbers)])
        errors.update(to_tensor(np.stack([last] * len(true))), to_tensor(np.stack(true)))
    return {**errors.compute(), "num_videos": len(folders)}


def format_masks_report(scores: dict[str, Any], title: str) -> str:
    """Return scores of :func:`score_masks` as text, classes in three columns."""
    low, high = scores["jaccard_interval"]
    lines = [
        f"{title}: Jaccard index {scores['jaccard']:.4f} "
        f"(95 % interval {low:.4f} - {high:.4f}, {scores['num_videos']} videos)"
    ]
    return "\n".join([*lines, *_columns(scores["per_class"])])


def _columns(per_class: dict[str, float | None], columns: int = 3) -> Sequence[str]:
    width = max(23, *(len(name) + 1 for name in per_class))
    cells = [
        f"{name:<{width}}{'     -' if score is None else f'{score:6.3f}'}"
        for name, score in per_class.items()
    ]
    rows = -(-len(cells) // columns)
    return ["   ".join(cells[row::rows]).rstrip() for row in range(rows)]
