"""Run a pipeline over a folder of videos and write files; a run can be interrupted at any time.

Batches depend only on the list of videos and the batch size, and each batch belongs to one shard.
So a single run, an interrupted and resumed one, and any number of shards write the same bytes.

A shard writes its masks to ``OUT/parts/`` and records there which of its batches are on the disk.
The shard that finishes last joins the parts into ``OUT/hidden_masks.npy``.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vps_d2.config.pipeline import model_nodes
from vps_d2.d2.config import CfgNode
from vps_d2.data.folder import VideoFolder
from vps_d2.data.layout import read_layout
from vps_d2.data.video import frame_path, read_frames
from vps_d2.inference.future_masks import FutureMaskPredictor, FuturePrediction
from vps_d2.io.arrays import write_array, write_rows
from vps_d2.io.errors import UserError
from vps_d2.io.files import (
    open_regular,
    read_json,
    write_errors,
    write_json,
    write_text,
    write_whole,
)
from vps_d2.io.folders import check_apart, claim_folder
from vps_d2.io.locks import lock_file
from vps_d2.io.pictures import write_gif
from vps_d2.io.prefetch import prefetch
from vps_d2.io.shards import WHOLE, Shard, shard_name
from vps_d2.visualization.films import VideoPictures

MASKS_FILE = "hidden_masks.npy"
VIDEOS_FILE = "videos.txt"
SKIPPED_FILE = "skipped.txt"
_PARTS = ("parts", "frames", "gifs")
_FINGERPRINT_BYTES = 1000
_SAMPLED = 1000  # videos of which a frame is looked at, to distinguish others of the same names
_WAY_OUT = "give --skip-faulty to write background for videos that cannot be read"
PREDICTIONS_FILE = "predictions.json"
"""Says which frames the masks and saved frames are, counted from 1."""


@dataclass
class Progress:
    """How much of a shard is on the disk.

    Args:
        run: fingerprint of the run, so that the progress of a different run is not continued.
        batches: how many of the shard's batches are done.
        checksum: CRC-32 of their masks, so that other bytes are not mistaken for them.
        complete: whether these are all of the shard's batches.
        skipped: faults of the videos whose masks are written as background.
    """

    run: str
    batches: int = 0
    checksum: int = 0
    complete: bool = False
    skipped: list[str] = field(default_factory=list)


class HiddenInference:
    """Predict and segment every video of a folder.

    Args:
        pipeline: predicts the videos.
        root: folder of videos.
        output: folder for the results.
        run: all that the result depends on besides the videos, as :func:`run_fingerprint` returns
            it: a run with another value is neither resumed nor joined with this one.
        shard: index and number of shards.
        batch_size: videos at a time.
        save_frames: write the predicted frames to ``frames/<video>.npy``.
        num_gifs: how many of the first videos to draw to ``gifs/<video>.gif``.
        skip_faulty: write background for a faulty video instead of stopping.

    Raises:
        UserError: if the pipeline predicts no frames that could be saved, if ``output`` is ``root``
            or inside it, or for the reasons of :class:`VideoFolder`.
    """

    def __init__(
        self,
        pipeline: FutureMaskPredictor,
        root: Path,
        output: Path,
        *,
        run: str = "",
        shard: Shard = WHOLE,
        batch_size: int = 8,
        save_frames: bool = False,
        num_gifs: int = 0,
        skip_faulty: bool = False,
    ) -> None:
        if save_frames and pipeline.predictor is None:
            raise UserError(
                "--save-frames: the pipeline predicts no frames, as its PIPELINE.PREDICTOR is "
                "empty; leave the option out, or use a pipeline with a predictor."
            )
        check_apart(output, root)
        self.pipeline = pipeline
        self.output = output
        self.shard = shard
        self.save_frames = save_frames
        self.num_gifs = num_gifs
        self.folder = VideoFolder(
            root,
            "hidden",
            layout=replace(read_layout(root), num_known=pipeline.num_known, num_frames=None),
            skip_faulty=skip_faulty,
            way_out=_WAY_OUT,
        )
        self.videos, self.size = self.folder.names, self.folder.size
        starts = range(0, len(self.videos), batch_size)
        self.batches = [range(s, min(s + batch_size, len(self.videos))) for s in starts]
        mine = self.batches[shard[0] :: shard[1]]
        self.folder.check_first(self.videos[index] for batch in mine for index in batch)
        last = pipeline.num_known - 1
        some = self.videos[:: -(-len(self.videos) // _SAMPLED)]
        sizes = [_frame_bytes(root / name, last) for name in some]
        extras = [save_frames, num_gifs]
        text = json.dumps([run, self.videos, sizes, batch_size, self.size, shard[1], extras])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.parts = output / "parts"

    def __call__(self, resume: bool = False) -> bool:
        """Run this shard, and join the parts if it is the last.

        Args:
            resume: go on with an earlier run with the same arguments.

        Returns:
            whether ``hidden_masks.npy`` is now complete.

        Raises:
            UserError: if the earlier run was a different one, a video is faulty, another run is
                writing this shard, or a file cannot be written.
        """
        with claim_folder(self.output, shard_name(self.shard), _PARTS), write_errors(self.output):
            self.parts.mkdir(exist_ok=True)
            if resume and self._is_joined():
                return True
            self._work(self._start(resume))
            return self._join()

    def _path(self, kind: str, index: int) -> Path:
        return self.parts / f"{kind}_{index}_of_{self.shard[1]}"

    def _read_progress(self, index: int) -> Progress | None:
        """Return the recorded progress of a shard; None if there is none that can be right."""
        try:
            progress = Progress(**read_json(self._path("progress", index)))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        if any(type(getattr(progress, k)) is not type(v) for k, v in vars(Progress("")).items()):
            return None
        if not all(isinstance(line, str) for line in progress.skipped):
            return None
        own = len(self.batches[index :: self.shard[1]])
        possible = [own] if progress.complete else range(own + 1)
        return progress if progress.batches in possible else None

    def _joined_run(self) -> str:
        """Return the fingerprint of the run whose parts were joined last, "" if there is none."""
        try:
            with open_regular(self.parts / "joined") as file:
                return file.read(_FINGERPRINT_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _is_joined(self) -> bool:
        results = (self.output / MASKS_FILE, self.output / VIDEOS_FILE)
        return self._joined_run() == self.fingerprint and all(path.exists() for path in results)

    def _start(self, resume: bool) -> Progress:
        index = self.shard[0]
        progress = self._read_progress(index) if resume else None
        earlier = progress.run if progress is not None else self._joined_run()
        if resume and earlier not in ("", self.fingerprint):
            raise UserError(
                f"{self.output} holds a run with other videos, models or settings; give the same "
                "ones to resume it, or leave out --resume to start over."
            )
        (self.parts / "joined").unlink(missing_ok=True)
        if progress is None or not self._fits(index, progress):
            progress = Progress(self.fingerprint)
            _write_json(self._path("progress", index), progress)
            with write_whole(self._path("masks", index)):
                pass
        return progress

    def _fits(self, index: int, progress: Progress) -> bool:
        """Return whether a shard's masks match its recorded progress, and have known classes."""
        done = self.batches[index :: self.shard[1]][: progress.batches]
        checksum, num_classes = 0, self.pipeline.taxonomy.num_classes
        try:
            with open_regular(self._path("masks", index)) as file:
                for batch in done:
                    rows = file.read(self._num_bytes(batch))
                    if np.frombuffer(rows, np.uint8).max(initial=0) >= num_classes:
                        return False
                    checksum = zlib.crc32(rows, checksum)
                return checksum == progress.checksum and file.tell() == self._num_bytes(*done)
        except FileNotFoundError:
            return False

    def _num_bytes(self, *batches: range) -> int:
        return sum(map(len, batches)) * self.size[0] * self.size[1]

    def _work(self, progress: Progress) -> None:
        index, count = self.shard
        mine = self.batches[index::count]
        done, todo = mine[: progress.batches], mine[progress.batches :]
        total, initial = sum(map(len, mine)), sum(map(len, done))
        bar = tqdm(total=total, initial=initial, desc="predicting", unit="video")
        # Rows are appended, not written through a memory map: on a full disk, that would kill the
        # process without a message.
        with bar, self._path("masks", index).open("r+b") as file:
            # A killed run may have written more than it recorded.
            file.truncate(self._num_bytes(*done))
            file.seek(0, os.SEEK_END)
            for batch, frames, faults in prefetch(self._read, todo):
                masks = np.zeros((len(batch), *self.size), np.uint8)
                good = [video for video in batch if video not in faults]
                for fault in faults.values():
                    bar.write(f"written as background: {fault}")
                    progress.skipped.append(fault)
                want_frames = self.save_frames or any(video < self.num_gifs for video in good)
                predictions = self.pipeline(frames, want_frames=want_frames) if good else []
                for video, clip, prediction in zip(good, frames, predictions, strict=True):
                    masks[video - batch.start] = prediction.mask
                    self._write_extras(video, clip, prediction)
                rows = masks.tobytes()
                file.write(rows)
                file.flush()
                os.fsync(file.fileno())
                progress.batches += 1
                progress.checksum = zlib.crc32(rows, progress.checksum)
                _write_json(self._path("progress", index), progress)
                bar.update(len(batch))
        progress.complete = True
        _write_json(self._path("progress", index), progress)

    def _read(self, batch: range) -> tuple[range, np.ndarray, dict[int, str]]:
        clips: list[np.ndarray] = []
        faults: dict[int, str] = {}
        known = range(self.pipeline.num_known)
        for index in batch:
            clip, found = self.folder.read(
                self.videos[index], lambda folder: read_frames(folder, known)
            )
            if clip is None:
                faults[index] = "; ".join(map(str, found))
            else:
                clips.append(clip)
        return batch, np.stack(clips) if clips else np.zeros((0,), np.uint8), faults

    def _write_extras(self, video: int, clip: np.ndarray, prediction: FuturePrediction) -> None:
        name = self.videos[video]
        if self.save_frames:
            path = self.output / "frames" / f"{name}.npy"
            path.parent.mkdir(exist_ok=True)
            write_array(path, prediction.frames)
        if video < self.num_gifs:
            film = VideoPictures(name, clip, self.pipeline.taxonomy, prediction=prediction).film()
            write_gif(self.output / "gifs" / f"{name}.gif", film)

    def _join(self) -> bool:
        """Join the parts if all are complete; of shards that finish together, one does it."""
        count = self.shard[1]
        with lock_file(self.parts / "lock"):
            if self._is_joined():
                return True
            done = [self._read_progress(index) for index in range(count)]
            for index, part in enumerate(done):
                if part and part.complete and part.run != self.fingerprint:
                    logging.getLogger(__name__).warning(
                        "%s: shard %d of %d was run with other videos, models or settings than "
                        "shard %d, so they are not joined; run one of them again with those of "
                        "the other.",
                        *(self.output, index, count, self.shard[0]),
                    )
            if not all(p and p.complete and p.run == self.fingerprint for p in done):
                return False
            for index, part in enumerate(done):
                if part and not self._fits(index, part):
                    raise UserError(
                        f"{self._path('masks', index)} has changed since shard {index}/{count} "
                        "wrote it; run that shard again."
                    )
            self._write_masks()
            _write_lines(self.output / VIDEOS_FILE, self.videos)
            write_json(self.output / PREDICTIONS_FILE, self.pipeline.describe())
            skipped = sorted(line for p in done if p for line in p.skipped)
            if skipped:
                _write_lines(self.output / SKIPPED_FILE, skipped)
            else:
                (self.output / SKIPPED_FILE).unlink(missing_ok=True)
            _write_lines(self.parts / "joined", [self.fingerprint], end="")
            for index in range(count):
                self._path("masks", index).unlink()
                self._path("progress", index).unlink()
        return True

    def _write_masks(self) -> None:
        """Copy the rows of all parts into the result, in the order of the videos."""
        count = self.shard[1]
        with ExitStack() as stack:
            parts = [
                stack.enter_context(open_regular(self._path("masks", index)))
                for index in range(count)
            ]
            rows = (
                parts[number % count].read(self._num_bytes(batch))
                for number, batch in enumerate(self.batches)
            )
            write_rows(self.output / MASKS_FILE, (len(self.videos), *self.size), rows)


def _write_json(path: Path, progress: Progress) -> None:
    _write_lines(path, [json.dumps(asdict(progress))])


def _write_lines(path: Path, lines: Sequence[str], end: str = "\n") -> None:
    write_text(path, "".join(f"{line}{end}" for line in lines))


def _frame_bytes(folder: Path, frame_index: int) -> int:
    """Return the bytes of a video's last input frame, 0 if it is missing.

    They distinguish videos of the same name. So would all frames, but then a run that stopped at a
    damaged one could never be resumed after its repair.
    """
    path = frame_path(folder, frame_index)
    return path.stat().st_size if path.is_file() else 0


def run_fingerprint(cfg: CfgNode, pipeline: FutureMaskPredictor) -> str:
    """Return all that a result depends on besides the videos, wherever the files lie.

    Args:
        cfg: of the pipeline.
        pipeline: built from it.

    Returns:
        the settings as YAML, with the fingerprints of the models instead of their paths.
    """
    cfg = cfg.clone()
    cfg.PIPELINE.MODEL_OPTS = []  # part of the models' fingerprints, without the device
    models = (pipeline.predictor, pipeline.segmenter, pipeline.mask_predictor)
    for node, loaded in zip(model_nodes(cfg), models, strict=True):
        node.CONFIG_FILE, node.WEIGHTS = loaded.fingerprint() if loaded else "", ""
    return cfg.PIPELINE.dump()
