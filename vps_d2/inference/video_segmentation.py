"""Segmentation of whole videos: a mask for each object and frame, with identities that stay.

A first pass decodes, segments and tracks, and puts what it finds on the disk; then the objects with
the highest scores are known, and a second pass writes the results. Memory does not grow with the
length of the video. A run that was killed goes on after the last batch that is on the disk: what is
there is tracked once more, which gives the same identities, and so the same bytes in the end.
"""

import hashlib
import json
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from vps_d2 import __version__
from vps_d2.d2.structures import Instances
from vps_d2.inference.instance_models import InstanceModel
from vps_d2.inference.objects import ObjectCollector, TrackedObject
from vps_d2.inference.result_folder import (
    MASKS_FOLDER,
    check_results,
    clean_folder,
    load_manifest,
    remove_pictures,
    remove_results,
    write_manifest,
)
from vps_d2.inference.segmentation_results import ResultOptions, ResultWriter
from vps_d2.inference.spool import SpooledFrame, open_spool, read_frames, round_descriptions
from vps_d2.inference.tracking import Tracker, add_appearance
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_errors
from vps_d2.io.folders import claim_folder
from vps_d2.io.video import VideoFrame, VideoSource, fingerprint_video

MANIFEST_FILE = "segmentation.json"
"""What a result was made of, and which files belong to it."""
_SPOOL_FILE = "instances.part"
_ALL_FILES = (_SPOOL_FILE, *ResultOptions(lossless=True).files())
_REMOVERS = {MASKS_FOLDER: remove_pictures}


@dataclass(frozen=True)
class SegmentOptions:
    """What is segmented.

    Args:
        threshold: score from which on an instance opens a track.
        classes: class numbers minus one that are kept; () for all.
        max_instances: objects that may overlap in time; those with the highest scores are kept.
        start: index of the first frame.
        end: index after the last frame; None for the end of the video.
        stride: step from one index to the next.
    """

    threshold: float = 0.5
    classes: tuple[int, ...] = ()
    max_instances: int = 10
    start: int = 0
    end: int | None = None
    stride: int = 1


@dataclass(frozen=True)
class SegmentedVideo:
    """What came out.

    Args:
        objects: the chosen ones.
        num_frames: that were segmented.
        notes: sentences for the user, such as about frames that could not be read.
        seconds: spent in each part: "decode", "segment", "track" and "write".
    """

    objects: list[TrackedObject]
    num_frames: int
    notes: list[str]
    seconds: dict[str, float]


class VideoSegmentation:
    """Segment one video into a folder.

    Args:
        source: the video.
        model: finds the instances in its frames.
        output: folder for the results.
        options: what is segmented.
        results: which files are written.
    """

    def __init__(
        self,
        source: VideoSource,
        model: InstanceModel,
        output: Path,
        options: SegmentOptions,
        results: ResultOptions,
    ) -> None:
        self.source, self.model, self.output = source, model, output
        self.options, self.results = options, results
        self.size = (source.height, source.width)
        self._spool = output / _SPOOL_FILE
        self._manifest = output / MANIFEST_FILE
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._run = self._fingerprint()

    def _fingerprint(self) -> str:
        """Return a hash of all that the result depends on."""
        text = json.dumps(
            [
                *(__version__, self.model.fingerprint(), asdict(self.options)),
                *(asdict(self.results), self.size, str(self.source.rate)),
            ]
        )
        return hashlib.sha256(f"{text} {fingerprint_video(self.source.path)}".encode()).hexdigest()

    def __call__(self, resume: bool = False) -> SegmentedVideo:
        """Segment the video, or what is left of it.

        Args:
            resume: go on with an earlier run with the same arguments.

        Raises:
            UserError: if the folder holds something else, another run is writing it, no frame can
                be read, or a file cannot be written.
        """
        with claim_folder(self.output), write_errors(self.output):
            manifest = check_results(self._manifest, self.results.files(), self._run, resume)
            if resume and manifest.get("complete"):
                return self._describe_complete(manifest)
            if not resume:
                # A file of the earlier run must not pass for one of this run.
                remove_results(self.output, manifest.get("files", []), _ALL_FILES, _REMOVERS)
            self._write_manifest(complete=False)
            collector = self._find()
            objects = collector.choose(self.options.max_instances)
            notes = self._write(objects, collector.num_frames)
            notes = [each for each in (self.source.losses, *notes) if each]
            self._write_manifest(
                complete=True,
                num_frames=collector.num_frames,
                notes=notes,
                objects=self._list_objects(objects),
            )
            self._spool.unlink()
        return SegmentedVideo(objects, collector.num_frames, notes, dict(self._seconds))

    def _describe_complete(self, manifest: dict[str, Any]) -> SegmentedVideo:
        objects = [
            TrackedObject(0, 0, 0, each["frames"], each["score"] * each["frames"], {each["id"]: 1})
            for each in manifest["objects"]
        ]
        return SegmentedVideo(objects, manifest["num_frames"], manifest["notes"], {})

    def _write_manifest(self, **more: Any) -> None:
        options = {**asdict(self.options), **asdict(self.results)}
        classes = self.model.taxonomy.thing_classes
        options["classes"] = [classes[number] for number in self.options.classes] or "all"
        write_manifest(
            *(self._manifest, self._run, self.source, [_SPOOL_FILE, *self.results.files()]),
            model=self.model.source,
            license=self.model.license_note,
            options=options,
            **more,
        )

    def _list_objects(self, objects: Sequence[TrackedObject]) -> list[dict[str, Any]]:
        names = self.model.taxonomy.thing_classes
        return [
            {
                "object": number,
                "id": seen.category_id,
                "class": names[seen.category_id],
                "score": round(seen.score, 6),
                "frames": seen.num_frames,
            }
            for number, seen in enumerate(objects, 1)
        ]

    def _find(self) -> ObjectCollector:
        """Do the first pass: segment, track, and put the instances on the disk."""
        tracker = None if self.model.tracks else Tracker(min_new_score=self.options.threshold)
        collector = ObjectCollector()
        batch_size = self.model.batch_size
        done = 0
        if tracker is None:  # what the model remembers of the frames is lost
            self._spool.unlink(missing_ok=True)
        else:
            whole = sum(1 for _ in read_frames(self._spool)) // batch_size * batch_size
            for spooled in islice(read_frames(self._spool), whole):
                tracked = tracker.assign(spooled.unpack(self.size))
                collector.add(tracked, spooled.classes, spooled.scores)
                done += 1
        bar = tqdm(total=self._expected(), initial=done, desc="segmenting", unit="frame")
        with bar, open_spool(self._spool, done) as spool:
            for frame, instances in self._segment(self._decode(done)):
                with self._timed("track"):
                    packed = self._pack(frame, instances, tracker)
                    collector.add(packed.track_ids, packed.classes, packed.scores)
                    spool.write(packed.to_line())
                    spool.flush()
                bar.update()
        if not collector.num_frames:
            raise UserError(
                f"{self.source.path} has no frame from --start {self.options.start} on that can be "
                "read; choose another range."
            )
        return collector

    def _segment(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, Instances]]:
        pairs = segment_frames(frames, self.model)
        while True:
            decoding = self._seconds["decode"]
            with self._timed("segment"):
                pair = next(pairs, None)
            # The model takes frames as it needs them.
            self._seconds["segment"] -= self._seconds["decode"] - decoding
            if pair is None:
                return
            yield pair

    def _pack(
        self, frame: VideoFrame, instances: Instances, tracker: Tracker | None
    ) -> SpooledFrame:
        if self.options.classes:
            wanted = torch.tensor(self.options.classes)
            instances = instances[torch.isin(instances.pred_classes, wanted)]
        if tracker is None:
            track_ids = [1 + number for number in instances.track_ids.tolist()]
        else:
            instances = _describe(instances, frame)
            track_ids = tracker.assign(instances)
        return SpooledFrame.pack(frame.index, frame.time, instances, track_ids)

    def _write(self, objects: list[TrackedObject], num_frames: int) -> list[str]:
        """Do the second pass: write the results. Return the notes about them."""
        writer = ResultWriter(
            *(self.output, self.source, self.model.taxonomy, objects, num_frames, self.results),
            self._facts(num_frames),
        )
        bar = tqdm(total=num_frames, desc="writing", unit="frame")
        with bar, writer:
            pairs = zip(read_frames(self._spool), self._decode(), strict=True)
            for spooled, frame in pairs:
                with self._timed("write"):
                    writer.write(spooled, frame.picture)
                bar.update()
        return writer.notes

    def _facts(self, num_frames: int) -> list[tuple[str, str]]:
        rate = float(self.source.rate)
        facts = [
            ("video", f"{self.size[1]} x {self.size[0]}, {rate:.6g} frames/s"),
            ("segmented", f"{num_frames} frames"),
            ("model", self.model.source),
            ("license", self.model.license_note),
            ("lost", self.source.losses),
        ]
        return [fact for fact in facts if fact[1]]

    def _decode(self, skip: int = 0) -> Iterator[VideoFrame]:
        """Yield the frames of the range, but not the first ``skip`` of them.

        They are decoded all the same: a damaged video gives the same frames in no other way.
        """
        options = self.options
        frames = self.source.frames(options.start, options.end, options.stride)
        while True:
            with self._timed("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            if skip:
                skip -= 1
            else:
                yield frame

    def _expected(self) -> int | None:
        """Return the number of frames in the range, None if it is not known."""
        count, end = self.source.num_frames, self.options.end
        if count is None and end is None:
            return None
        last = min(each for each in (count, end) if each is not None)
        return len(range(self.options.start, last, self.options.stride))

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - start


def follow_objects(
    frames: Iterable[VideoFrame], model: InstanceModel, *, threshold: float = 0.5
) -> Iterator[tuple[VideoFrame, Instances]]:
    """Segment and track frames one after another, in memory that does not grow with their number.

    Args:
        frames: of a video, such as ``open_video(path).frames()``.
        model: finds the instances in them.
        threshold: score from which on an instance opens a track.

    Yields:
        each frame, and the instances in it that belong to a track, with ``track_ids`` int64.
    """
    tracker = Tracker(min_new_score=threshold)
    for frame, instances in segment_frames(frames, model):
        if not model.tracks:
            instances = tracker.step(_describe(instances, frame))
        yield frame, instances


def segment_frames(
    frames: Iterable[VideoFrame], model: InstanceModel
) -> Iterator[tuple[VideoFrame, Instances]]:
    """Yield frames of a video with the instances in them, in the order of the frames."""
    waiting: deque[VideoFrame] = deque()

    def pictures() -> Iterator[np.ndarray]:
        for frame in frames:
            waiting.append(frame)
            yield frame.picture

    for instances in model.stream(pictures()):
        yield waiting.popleft(), instances


def _describe(instances: Instances, frame: VideoFrame) -> Instances:
    """Return instances with what the tracker compares."""
    if not instances.has("embeddings"):
        instances = add_appearance(instances, frame.picture)
    return round_descriptions(instances)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a segmented video, None if the folder holds none.

    Raises:
        UserError: if it cannot be read.
    """
    return load_manifest(folder / MANIFEST_FILE)


def clean_results(folder: Path) -> list[str]:
    """Remove the files that a segmentation wrote, and nothing else.

    Args:
        folder: of the results.

    Returns:
        the names of what was removed.

    Raises:
        UserError: if the folder holds no such results, or another run is writing it.
    """
    return clean_folder(folder / MANIFEST_FILE, _ALL_FILES, _REMOVERS)
