"""Masks for videos that have none, by a trained segmenter (pseudo labels).

Labeled videos are written to a new folder, as links to the frames and a ``mask.npy``, so the result
can be read like any labeled split, and the input is not changed. Videos in which the segmenter is
unsure, or finds nothing, are left out and listed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from vps_d2.data.faults import Fault
from vps_d2.data.folder import VideoFolder
from vps_d2.data.layout import write_layout
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import MASK_FILE, frame_indices, frame_path, read_frames
from vps_d2.io.arrays import array_bytes
from vps_d2.io.escape import escape_controls
from vps_d2.io.files import check_output, write_errors, write_folder, write_text
from vps_d2.io.folders import check_apart, claim_folder
from vps_d2.io.links import link_file
from vps_d2.io.prefetch import prefetch
from vps_d2.io.settings import check_settings
from vps_d2.io.shards import WHOLE, Shard, shard_name, take_shard

LEFT_OUT_FILE = "left_out.txt"
SETTINGS_FILE = "labels.json"


class LabelCounts(NamedTuple):
    """The numbers of videos labeled and left out."""

    labeled: int
    left_out: int


class FrameLabeler(Protocol):
    """A trained segmenter of single frames, as this module needs it."""

    def label(self, frames: np.ndarray) -> tuple[np.ndarray, float]:
        """Return class maps, uint8 ``(T, H, W)``, of frames, uint8 ``(T, H, W, 3)``, and scores.

        The score of a frame is the mean probability of its objects' pixels, 0 if nothing is found.
        """

    @property
    def taxonomy(self) -> Taxonomy:
        """The classes of the maps."""

    def fingerprint(self) -> str:
        """Return a hash of everything that the labels depend on."""


def label_videos(
    segmenter: FrameLabeler,
    root: str | Path,
    out: str | Path,
    *,
    threshold: float = 0.8,
    shard: Shard = WHOLE,
    skip_faulty: bool = False,
) -> LabelCounts:
    """Segment every frame of the videos in a folder, and write the masks into another folder.

    Videos that were labeled or left out before, with the same segmenter and threshold, are skipped.

    Args:
        segmenter: of single frames.
        root: folder of videos.
        out: folder of the labeled ones.
        threshold: mean probability of the objects' pixels below which a video is left out; one in
            which nothing is found has 0.
        shard: the videos to label; all of them, when they are, are listed in one file.
        skip_faulty: skip faulty videos instead of stopping.

    Raises:
        UserError: if there are faults, or if ``out`` is ``root`` or inside it, holds the result of
            another segmenter or threshold, is being written by another run, or cannot be written.
    """
    root, out = Path(root), Path(out)
    check_apart(out, root)
    videos = VideoFolder(root, "unlabeled", skip_faulty=skip_faulty)
    names = take_shard(videos.names, shard)
    videos.check_first(names)
    part = shard_name(shard)
    # A shared disk may not let several machines add to one file.
    left_out_file = out / (f"{part}-{LEFT_OUT_FILE}" if part else LEFT_OUT_FILE)
    with claim_folder(out, part), write_errors(out):
        settings = {"segmenter": segmenter.fingerprint(), "threshold": threshold}
        check_settings(out / SETTINGS_FILE, settings)
        check_output(left_out_file)  # opening a pipe would block
        write_layout(out, replace(videos.layout, taxonomy=segmenter.taxonomy))
        left_out = _read_left_out(out)
        faulty = 0
        with (
            tqdm(total=len(names), unit="video") as progress,
            left_out_file.open("a", buffering=1) as log,
        ):

            def todo() -> Iterator[str]:
                for name in names:
                    if name in left_out or (out / name).exists():
                        progress.update()
                    else:
                        yield name

            for name, frames, faults in prefetch(partial(_read, videos), todo()):
                if frames is None:
                    faulty += 1
                    for fault in faults:
                        progress.write(f"left out of {escape_controls(str(root))}: {fault}")
                else:
                    masks, sure = segmenter.label(frames)
                    if sure < threshold:
                        log.write(f"{name} {sure:.3f}\n")
                    else:
                        _write(out / name, root / name, masks)
                progress.update()
        if faulty == len(names) > 0:
            raise videos.nothing_left()
        if shard == WHOLE:
            _join_left_out(out, names)
    left_out = _read_left_out(out)
    left = sum(name in left_out for name in names)
    return LabelCounts(len(names) - faulty - left, left)


def _read(videos: VideoFolder, name: str) -> tuple[str, np.ndarray | None, list[Fault]]:
    frames, faults = videos.read(name, lambda folder: read_frames(folder, frame_indices(folder)))
    return name, frames, faults


def _read_left_out(out: Path) -> dict[str, str]:
    """Return the lines about videos that were left out, by the names of the videos."""
    lines: list[str] = []
    for path in _left_out_files(out):
        lines += path.read_text("utf-8", "replace").splitlines()
    return {line.split()[0]: line for line in lines if line.strip()}


def _left_out_files(out: Path) -> list[Path]:
    shared = [out / LEFT_OUT_FILE]
    return [path for path in [*shared, *out.glob(f"shard_*-{LEFT_OUT_FILE}")] if path.exists()]


def _join_left_out(out: Path, names: Sequence[str]) -> None:
    """Bring the lines of all shards into one file, in the order of the videos."""
    lines = _read_left_out(out)
    known = [name for name in names if name in lines]
    others = sorted(set(lines).difference(known))
    write_text(out / LEFT_OUT_FILE, "".join(f"{lines[name]}\n" for name in [*known, *others]))
    for path in _left_out_files(out)[1:]:
        path.unlink()


def _write(target: Path, source: Path, masks: np.ndarray) -> None:
    """Write a labeled video, whole or not at all."""
    with write_folder(target) as folder:
        for index in frame_indices(source):
            link_file(frame_path(folder, index), frame_path(source.resolve(), index))
        (folder / MASK_FILE).write_bytes(array_bytes(masks))
