"""Predicted frames with the true masks, to train a segmenter on what it will segment.

Frames go to ``video_<v>_frame_<f>.png`` and masks to ``mask_video_<v>_frame_<f>.npy``, where ``f``
is the index of the frame, counted from 0. If the videos have a ``dataset.json``, so has the result.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from vps_d2.d2.config import CfgNode
from vps_d2.data.clips import ClipSpec, name_frames, num_known_frames
from vps_d2.data.faults import Fault
from vps_d2.data.folder import VideoFolder
from vps_d2.data.layout import write_layout
from vps_d2.data.mappers import to_tensor
from vps_d2.data.video import encode_frame, read_frames, read_masks, video_number
from vps_d2.data.video import frame_indices as video_frames
from vps_d2.io.arrays import write_array
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls
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
            video has.
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
    videos = VideoFolder(root, "labeled", skip_faulty=skip_faulty)
    # They do not depend on what is done already, so that every run predicts a video in the same
    # company, and to the same bits.
    starts = range(0, len(videos.names), batch_size)
    batches = [videos.names[s : s + batch_size] for s in take_shard(starts, shard)]
    videos.check_first(name for batch in batches for name in batch)
    with claim_folder(output, shard_name(shard)):
        check_settings(output / SETTINGS_FILE, {"predictor": predictor.fingerprint()})
        write_layout(output, videos.layout)
        return _generate(predictor, videos, batches, output, frame_indices or given)


def _generate(
    predictor: FramePredictor,
    videos: VideoFolder,
    batches: Sequence[Sequence[str]],
    output: Path,
    frame_indices: Sequence[int],
) -> int:
    """Predict the batches that are not done yet, and return the number of their videos."""
    num_known = num_known_frames(predictor.cfg)
    inputs, given = predictor.clip.input_frames(num_known), predictor.clip.target_frames(num_known)
    total, count, faulty = sum(map(len, batches)), 0, 0
    with tqdm(total=total, desc="generating", unit="video") as bar:

        def todo() -> Iterator[Sequence[str]]:
            for batch in batches:
                if all(_is_done(videos, name, output, frame_indices) for name in batch):
                    bar.update(len(batch))
                else:
                    yield batch

        def read(batch: Sequence[str]) -> list[tuple[str, _Clip | None, list[Fault]]]:
            return [(name, *videos.read(name, partial(_read, inputs))) for name in batch]

        for found in prefetch(read, todo()):
            for fault in (fault for _, _, faults in found for fault in faults):
                bar.write(f"left out of {escape_controls(str(videos.root))}: {fault}")
            good = [(name, clip) for name, clip, _ in found if clip is not None]
            inputs_of_all = [{"frames": to_tensor(clip.frames)} for _, clip in good]
            outputs = predictor(inputs_of_all) if good else []
            for (name, clip), each in zip(good, outputs, strict=True):
                made = each["frames"].round().clamp(0, 255).byte().permute(0, 2, 3, 1)
                for index in _within(frame_indices, len(clip.masks), videos.root / name):
                    frame = made[given.index(index)].cpu().numpy()
                    _write(_paths(output, name, index), frame, clip.masks[index])
            count += len(good)
            faulty += len(found) - len(good)
            bar.update(len(found))
    if faulty == total > 0:
        raise videos.nothing_left()
    return count


class _Clip(NamedTuple):
    frames: np.ndarray
    masks: np.ndarray


def _read(inputs: range, folder: Path) -> _Clip:
    return _Clip(read_frames(folder, inputs), read_masks(folder))


def _paths(output: Path, name: str, index: int) -> tuple[Path, Path]:
    stem = f"video_{video_number(name)}_frame_{index}"
    return output / f"{stem}.png", output / f"mask_{stem}.npy"


def _is_done(videos: VideoFolder, name: str, output: Path, indices: Sequence[int]) -> bool:
    length = videos.layout.num_frames or len(video_frames(videos.root / name))
    within = [index for index in indices if index < length]
    paths = [path for index in within for path in _paths(output, name, index)]
    return bool(paths) and all(path.exists() for path in paths)


def _within(frame_indices: Sequence[int], num_frames: int, folder: Path) -> list[int]:
    """Return the frames that a video has a true mask for."""
    within = [index for index in frame_indices if index < num_frames]
    if not within:
        raise UserError(
            f"{folder} has {num_frames} frames, and no true mask for the predicted frames; give "
            "longer videos, or another predictor."
        )
    return within


def _write(paths: tuple[Path, Path], frame: np.ndarray, mask: np.ndarray) -> None:
    picture, array = paths
    # The mask first: a frame without one would be a fault of the data set.
    write_array(array, mask)
    with write_whole(picture) as file:
        file.write(encode_frame(frame).tobytes())
