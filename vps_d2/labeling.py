"""Masks for videos that have none, by a trained segmenter (pseudo labels).

A labelled video goes to a root of its own, as links to the frames and a ``mask.npy``, so the result
reads as any labelled split and the data stays as it is. Videos in which the segmenter is unsure, or
finds nothing, are left out and listed.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from vps_d2.data.faults import scan_split, stop_or_log
from vps_d2.data.mappers import to_tensor
from vps_d2.data.prefetch import prefetch
from vps_d2.data.video import MASK_FILE, frame_indices, frame_path, read_frames
from vps_d2.errors import UserError
from vps_d2.evaluation.semantic import output_to_mask
from vps_d2.pipeline import LoadedModel
from vps_d2.resuming import check_settings

LEFT_OUT_FILE = "left_out.txt"
SETTINGS_FILE = "labels.json"


class LabelCounts(NamedTuple):
    """What a run did: videos labelled, and left out."""

    labeled: int
    left_out: int


def confidence(output: dict[str, Any], score_thresh: float) -> tuple[float, int]:
    """Return how sure a segmenter is of the objects in one frame.

    Args:
        output: with ``sem_seg`` logits ``(49, H, W)`` or ``instances``.
        score_thresh: instances below it do not count.

    Returns:
        the sum over the pixels of objects of the probability of their class, or of their
        instance's score, and the number of those pixels; both 0 where nothing is found.
    """
    if "sem_seg" in output:
        best, classes = output["sem_seg"].float().softmax(0).max(0)
        objects = classes > 0
        return float(best[objects].sum()), int(objects.sum())
    instances = output["instances"]
    kept = instances.scores >= score_thresh
    areas = instances.pred_masks[kept].flatten(1).sum(1)
    # Some engines score in bfloat16, in which a sum of so many pixels is coarse.
    return float((areas * instances.scores[kept].double()).sum()), int(areas.sum())


def label_videos(
    segmenter: LoadedModel,
    root: str | Path,
    out: str | Path,
    *,
    threshold: float = 0.8,
    shard: tuple[int, int] = (0, 1),
    batch_size: int = 22,
    skip_faulty: bool = False,
) -> LabelCounts:
    """Segment every frame of the videos of a folder, and write the masks into another.

    Videos that were labelled or left out before, with this segmenter and threshold, are not done
    again.

    Args:
        segmenter: of single frames.
        root: folder of videos.
        out: folder of the labelled ones.
        threshold: mean probability of the objects' pixels below which a video is left out; one in
            which nothing is found has 0.
        shard: (i, n): every n-th video, from the i-th on.
        batch_size: frames on the device at a time.
        skip_faulty: pass over faulty videos instead of stopping.

    Raises:
        UserError: if there are faults, or if ``out`` is or lies in ``root``, holds the result of
            another segmenter or threshold, or cannot be written.
    """
    root, out = Path(root), Path(out)
    if root.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(f"{out} lies in the folder of the videos, {root}; give another.")
    # What is spoilt within a picture shows only when it is decoded.
    scans, faults = scan_split(root, kind="unlabelled", decode=skip_faulty, progress=True)
    stop_or_log(str(root), faults, len(scans), skip_faulty, print, "give --skip-faulty")
    folders = [scan.folder for scan in scans][shard[0] :: shard[1]]
    try:
        out.mkdir(parents=True, exist_ok=True)
        settings = {"segmenter": segmenter.fingerprint(), "threshold": threshold}
        check_settings(out / SETTINGS_FILE, settings)
        left_out = _read_left_out(out)
        todo = [f for f in folders if not (out / f.name).exists() and f.name not in left_out]
        with (
            tqdm(total=len(folders), initial=len(folders) - len(todo), unit="video") as progress,
            (out / LEFT_OUT_FILE).open("a", buffering=1) as log,
        ):
            for folder, frames in prefetch(_read, todo):
                masks, sure = _label(segmenter, frames, batch_size)
                if sure < threshold:
                    log.write(f"{folder.name} {sure:.3f}\n")
                else:
                    _write(out / folder.name, folder, masks)
                progress.update()
    except OSError as error:
        raise UserError(
            f"{out} cannot be written ({error.strerror}); make room, or give another folder."
        ) from error
    left = {folder.name for folder in folders} & _read_left_out(out)
    return LabelCounts(len(folders) - len(left), len(left))


def _read(folder: Path) -> tuple[Path, np.ndarray]:
    return folder, read_frames(folder, frame_indices(folder))


def _read_left_out(out: Path) -> set[str]:
    path = out / LEFT_OUT_FILE
    if not path.exists():
        return set()
    return {line.split()[0] for line in path.read_text().splitlines() if line.strip()}


def _label(segmenter: LoadedModel, frames: np.ndarray, batch_size: int) -> tuple[np.ndarray, float]:
    """Return the masks uint8 (T, H, W) of frames, and how sure they are, 0-1; 0 of no object."""
    threshold = segmenter.cfg.PIPELINE.SCORE_THRESH
    height, width = frames.shape[1:3]
    masks, total, pixels = np.zeros(frames.shape[:3], np.uint8), 0.0, 0
    for start in range(0, len(frames), batch_size):
        batch = torch.unbind(to_tensor(frames[start : start + batch_size]))
        outputs = segmenter([{"image": image, "height": height, "width": width} for image in batch])
        for index, output in enumerate(outputs, start):
            masks[index] = output_to_mask(output, threshold)
            probability, count = confidence(output, threshold)
            total, pixels = total + probability, pixels + count
    return masks, total / pixels if pixels else 0.0


def _write(target: Path, source: Path, masks: np.ndarray) -> None:
    """Write a labelled video so that its folder is whole or absent."""
    partial = target.with_name(f".{target.name}.partial")
    if partial.exists():  # what an interrupted run left
        for path in partial.iterdir():
            path.unlink()
    partial.mkdir(exist_ok=True)
    for index in frame_indices(source):
        frame_path(partial, index).symlink_to(frame_path(source.resolve(), index))
    np.save(partial / MASK_FILE, masks)
    partial.rename(target)
