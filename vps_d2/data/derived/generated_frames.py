"""Predicted frames with the true masks, to train a segmenter on what it will segment.

Frames go to ``video_<v>_frame_<f>.png`` and masks to ``mask_video_<v>_frame_<f>.npy``, where ``f``
is the index of the frame, counted from 0. If the videos have a ``dataset.json``, so has the result.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from vps_d2.d2.config import CfgNode
from vps_d2.data.clips import ClipSpec, name_frames, num_known_frames
from vps_d2.data.faults import scan_split, stop_or_log
from vps_d2.data.layout import read_layout, write_layout
from vps_d2.data.mappers import to_tensor
from vps_d2.data.video import (
    encode_frame,
    read_frames,
    read_masks,
    video_number,
)
from vps_d2.io.arrays import write_array
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_whole
from vps_d2.io.folders import check_apart, claim_folder
from vps_d2.io.prefetch import prefetch
from vps_d2.io.settings import check_settings
from vps_d2.io.shards import WHOLE, Shard, shard_name, take_shard

SETTINGS_FILE = "predictor.json"


class FramePredictor(Protocol):
    """A trained predictor of frames, as this module needs it."""

    @property
    def cfg(self) -> CfgNode:
        """The configuration that it was trained with."""

    @property
    def clip(self) -> ClipSpec:
        """The frames that it takes and predicts."""

    def __call__(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Map ``"frames"``, uint8 ``(T_in, 3, H, W)``, to float ``(T_out, 3, H, W)``, 0-255."""

    def fingerprint(self) -> str:
        """Return a hash of everything that the predicted frames depend on."""


def generate_frames(
    predictor: FramePredictor,
    root: Path,
    output: Path,
    *,
    frame_indices: Sequence[int] | None = None,
    batch_size: int = 8,
    skip_faulty: bool = False,
    shard: Shard = WHOLE,
) -> int:
    """Predict labeled videos and write the frames; existing ones are kept.

    Args:
        predictor: from frames to later ones.
        root: folder of labeled videos.
        output: where the files go.
        frame_indices: which frames, counted from 0; None for all that are predicted and that the
            videos have.
        batch_size: videos at a time.
        skip_faulty: leave faulty videos out instead of stopping.
        shard: the batches to predict.

    Returns:
        how many videos were predicted.

    Raises:
        UserError: if a video is faulty, the predictor does not predict these frames, or ``output``
            is ``root`` or inside it, holds the frames of another predictor, is being written by
            another run or cannot be written.
    """
    check_apart(output, root)
    num_known = num_known_frames(predictor.cfg)
    given = predictor.clip.target_frames(num_known)
    if frame_indices is not None and not (frame_indices and set(frame_indices) <= set(given)):
        raise UserError(f"the predictor predicts {name_frames(given)}; ask for some of these.")
    # Damage inside a picture is only found when it is decoded.
    scans, faults = scan_split(root, kind="labeled", decode=skip_faulty, progress=True)
    stop_or_log(str(root), faults, len(scans), skip_faulty, print, "give --skip-faulty")
    frame_indices = _within(frame_indices or given, min(scan.num_frames for scan in scans), root)
    folders = [scan.folder for scan in scans]
    # They do not depend on what is done already, so that every run predicts a video in the same
    # company, and to the same bits.
    batches = [folders[start : start + batch_size] for start in range(0, len(folders), batch_size)]
    with claim_folder(output, shard_name(shard)):
        check_settings(output / SETTINGS_FILE, {"predictor": predictor.fingerprint()})
        write_layout(output, read_layout(root))
        return _generate(predictor, take_shard(batches, shard), output, frame_indices)


def _generate(
    predictor: FramePredictor,
    batches: Sequence[list[Path]],
    output: Path,
    frame_indices: Sequence[int],
) -> int:
    """Predict the batches that are not done yet, and return the number of their videos."""
    num_known = num_known_frames(predictor.cfg)
    inputs, given = predictor.clip.input_frames(num_known), predictor.clip.target_frames(num_known)
    todo = [
        batch
        for batch in batches
        if not all(_is_done(output, folder, frame_indices) for folder in batch)
    ]
    total, count = sum(map(len, batches)), sum(map(len, todo))
    with tqdm(total=total, initial=total - count, desc="generating", unit="video") as bar:
        for batch, frames, masks in prefetch(partial(_read, inputs), todo):
            outputs = predictor([{"frames": to_tensor(video)} for video in frames])
            for folder, each, true in zip(batch, outputs, masks, strict=True):
                clip = each["frames"].round().clamp(0, 255).byte().permute(0, 2, 3, 1)
                made = {index: clip[given.index(index)].cpu().numpy() for index in frame_indices}
                _write(output, folder, made, true)
            bar.update(len(batch))
    return count


def _paths(output: Path, folder: Path, index: int) -> tuple[Path, Path]:
    stem = f"video_{video_number(folder)}_frame_{index}"
    return output / f"{stem}.png", output / f"mask_{stem}.npy"


def _is_done(output: Path, folder: Path, indices: Sequence[int]) -> bool:
    return all(path.exists() for index in indices for path in _paths(output, folder, index))


def _within(frame_indices: Sequence[int], num_frames: int, root: Path) -> list[int]:
    """Return the frames that videos of a length have a true mask for."""
    within = [index for index in frame_indices if index < num_frames]
    if not within:
        raise UserError(
            f"{root} holds videos of {num_frames} frames, which have no true mask for the "
            "predicted frames; give longer videos, or another predictor."
        )
    return within


def _read(
    inputs: range, folders: list[Path]
) -> tuple[list[Path], list[np.ndarray], list[np.ndarray]]:
    frames = [read_frames(folder, inputs) for folder in folders]
    return folders, frames, list(map(read_masks, folders))


def _write(output: Path, folder: Path, frames: Mapping[int, np.ndarray], masks: np.ndarray) -> None:
    for index, frame in frames.items():
        picture, mask = _paths(output, folder, index)
        # The mask first: a frame without one would be a fault of the data set.
        write_array(mask, masks[index])
        with write_whole(picture) as file:
            file.write(encode_frame(frame).tobytes())
