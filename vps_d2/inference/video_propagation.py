"""Objects of whole videos, followed from masks that are given in files, without an interface.

A session (:mod:`vps_d2.inference.vos.session`) does the work in the folder ``session``; then
``masks/`` and ``overlay.mp4`` are written from it. Memory does not grow with the length of the
video, and a run that was killed goes on to the same bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2 import __version__
from vps_d2.data.object_maps import OBJECT_PALETTE, object_numbers, read_object_map
from vps_d2.inference.result_folder import (
    MASKS_FOLDER,
    OVERLAY_FILM,
    check_results,
    clean_folder,
    remove_pictures,
    remove_results,
    write_manifest,
)
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.exporting import known_maps
from vps_d2.inference.vos.session import VOSSession
from vps_d2.inference.vos.store import remove_session
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_errors, write_folder
from vps_d2.io.folders import claim_folder
from vps_d2.io.pictures import encode_palette_png
from vps_d2.io.video import VideoSource, fingerprint_video, numbered_png

__all__ = ["PropagateOptions", "PropagatedVideo", "VideoPropagation", "clean_propagation"]

MANIFEST_FILE = "propagation.json"
"""What a result was made of, and which files belong to it."""
SESSION_FOLDER = "session"

_ALL_FILES = (MASKS_FOLDER, OVERLAY_FILM, SESSION_FOLDER)
_REMOVERS = {MASKS_FOLDER: remove_pictures, SESSION_FOLDER: remove_session}


@dataclass(frozen=True)
class PropagateOptions:
    """What is followed, and what is written.

    Args:
        masks: indices of frames, and the files of their object maps.
        objects: numbers of the objects to follow; () for all.
        names: class names of objects, by number.
        direction: "forward", "backward" or "both"; see :meth:`VOSSession.propagate`.
        start: index of the first frame.
        end: index after the last frame; None for the end of the video.
        short_side: pixels of the shorter side at which the engine works; None for the size of the
            video.
        overlay: write ``overlay.mp4``.
    """

    masks: tuple[tuple[int, Path], ...]
    objects: tuple[int, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    direction: str = "both"
    start: int = 0
    end: int | None = None
    short_side: int | None = None
    overlay: bool = True

    def files(self) -> list[str]:
        """Return the names of the files and folders that are written."""
        return [MASKS_FOLDER, *([OVERLAY_FILM] if self.overlay else []), SESSION_FOLDER]


@dataclass(frozen=True)
class PropagatedVideo:
    """What came out.

    Args:
        objects: for each object its ``object`` number, ``class``, number of ``frames`` in which it
            was found, indices of the ``first`` and ``last`` of them, and mean ``score`` there.
        num_frames: that were visited.
        notes: sentences for the user, such as about frames that could not be read.
    """

    objects: list[dict[str, Any]]
    num_frames: int
    notes: list[str]


class VideoPropagation:
    """Follow objects through one video into a folder.

    Args:
        source: the video.
        engine: follows the objects.
        output: folder for the results.
        options: what is followed.

    Raises:
        UserError: if a mask cannot be read, has another size or no object, or is of a frame that
            the video does not have; or if an object is in none of them.
    """

    def __init__(
        self, source: VideoSource, engine: VOSEngine, output: Path, options: PropagateOptions
    ) -> None:
        self.source, self.engine, self.output, self.options = source, engine, output, options
        self._manifest = output / MANIFEST_FILE
        self._given = _read_given(source, options)
        self._run = self._fingerprint()

    def _fingerprint(self) -> str:
        """Return a hash of all that the result depends on."""
        options = {**asdict(self.options), "masks": None}
        text = json.dumps([__version__, self.engine.fingerprint(), options])
        digest = hashlib.sha256(f"{text} {fingerprint_video(self.source.path)}".encode())
        for index, object_map in self._given:
            digest.update(f"{index}".encode() + object_map.tobytes())
        return digest.hexdigest()

    def __call__(self, resume: bool = False) -> PropagatedVideo:
        """Follow the objects, or what is left of it.

        Args:
            resume: go on with an earlier run with the same arguments.

        Raises:
            UserError: if the folder holds something else, another run is writing it, or a file
                cannot be written.
        """
        files = self.options.files()
        with claim_folder(self.output), write_errors(self.output):
            manifest = check_results(self._manifest, files, self._run, resume)
            result: list[Any] = [manifest.get(key) for key in ("objects", "num_frames", "notes")]
            if resume and manifest.get("complete") and None not in result:
                return PropagatedVideo(*result)
            if not resume:
                # A file of the earlier run must not pass for one of this run.
                remove_results(self.output, manifest.get("files", []), _ALL_FILES, _REMOVERS)
            self._write_manifest(complete=False)
            self._propagate()
            with self._open() as session:
                found = self._write(session)
            self._write_manifest(complete=True, **asdict(found))
        return found

    def _open(self) -> VOSSession:
        folder = self.output / SESSION_FOLDER
        return VOSSession(self.source, folder, self.engine, short_side=self.options.short_side)

    def _propagate(self) -> None:
        """Follow the objects in a session, as far as that is not done."""
        options = self.options
        with self._open() as session:
            is_begun = session.unfinished is not None or session.is_propagated
        if not is_begun:
            # It is new, or was killed while the masks were given, which takes no time to do again.
            remove_session(session.folder)
        with self._open() as session:
            if session.is_propagated:
                return
            if is_begun:
                results = session.resume()
            else:
                for index, object_map in self._given:
                    session.add_mask(index, object_map)
                for number, name in options.names.items():
                    session.add_object(name, number)
                results = session.propagate(options.direction, options.start, options.end)
            total = None if is_begun else self._expected()
            for _ in tqdm(results, desc="following", unit="frame", total=total):
                pass

    def _write(self, session: VOSSession) -> PropagatedVideo:
        """Write the results of a finished session."""
        options, seen = self.options, _Seen(session.objects)
        with write_folder(self.output / MASKS_FOLDER) as folder:
            for index, object_map in known_maps(session, progress=True):
                data = encode_palette_png(object_map, OBJECT_PALETTE)
                (folder / numbered_png(index)).write_bytes(data)
                seen.add(index, object_map, session.scores(index))
        notes = seen.notes({number: len(frames) for number, frames in self._frames_given().items()})
        if options.overlay:
            notes += session.export(self.output / OVERLAY_FILM, "overlay", progress=True)
        losses = [self.source.losses] if self.source.losses else []
        return PropagatedVideo(seen.describe(), seen.num_frames, losses + notes)

    def _frames_given(self) -> dict[int, list[int]]:
        frames: dict[int, list[int]] = {}
        for index, object_map in self._given:
            for number in object_numbers(object_map):
                frames.setdefault(number, []).append(index)
        return frames

    def _write_manifest(self, **more: Any) -> None:
        options = {
            **asdict(self.options),
            "masks": {str(index): path.name for index, path in self.options.masks},
            "objects": list(self.options.objects) or "all",
        }
        write_manifest(
            *(self._manifest, self._run, self.source, self.options.files()),
            engine=self.engine.source,
            license=self.engine.license_note,
            options=options,
            **more,
        )

    def _expected(self) -> int | None:
        """Return about how many frames are visited, None if that is not known."""
        ends = [each for each in (self.source.num_frames, self.options.end) if each is not None]
        return min(ends) - self.options.start if ends else None


class _Seen:
    """Counts in which frames each object is found."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.num_frames = 0
        self._names = names
        self._frames: dict[int, list[int]] = {number: [0, -1, -1] for number in names}
        self._scores = dict.fromkeys(names, 0.0)

    def add(self, index: int, object_map: np.ndarray, scores: Mapping[int, float]) -> None:
        self.num_frames += 1
        for number in object_numbers(object_map):
            count, first, _ = self._frames[number]
            self._frames[number] = [count + 1, index if first < 0 else first, index]
            self._scores[number] += scores.get(number, 0.0)

    def describe(self) -> list[dict[str, Any]]:
        rows = []
        for number, (count, first, last) in self._frames.items():
            score = round(self._scores[number] / count, 4) if count else 0.0
            row = {"object": number, "class": self._names[number], "frames": count}
            rows.append({**row, "first": first, "last": last, "score": score})
        return rows

    def notes(self, given: Mapping[int, int]) -> list[str]:
        """Return a sentence if objects were found in no frame but those that were given."""
        lost = [n for n, (count, _, _) in self._frames.items() if count <= given.get(n, 0)]
        if not lost or self.num_frames <= max(given.values()):
            return []
        what = f"object{'s' * (len(lost) > 1)} {', '.join(map(str, lost))}"
        was = "were" if len(lost) > 1 else "was"
        return [f"{what} {was} not found in any frame without a given mask."]


def _read_given(source: VideoSource, options: PropagateOptions) -> list[tuple[int, np.ndarray]]:
    """Read the masks that are given for a video, and leave only the objects to follow in them."""
    size, found, maps = (source.height, source.width), set(), []
    for index, path in options.masks:
        object_map = read_object_map(path)
        if object_map.shape != size:
            height, width = object_map.shape
            raise UserError(
                f"mask {path} has {width} x {height} pixels, but {source.path} has {size[1]} x "
                f"{size[0]}; give a mask of that size."
            )
        if not object_map.any():
            raise UserError(f"mask {path} is empty; mark at least one object in it.")
        source.read(index)
        numbers = object_numbers(object_map)
        found.update(numbers)
        if options.objects:
            object_map = np.where(np.isin(object_map, options.objects), object_map, 0)
        if object_map.any():
            maps.append((index, object_map.astype(np.uint8)))
    for number in (*options.objects, *options.names):
        if number not in found:
            listed = ", ".join(map(str, sorted(found)))
            raise UserError(f"there is no object {number} in the masks, which have {listed}.")
    return maps


def clean_propagation(folder: Path) -> list[str]:
    """Remove the files that a propagation wrote, and nothing else.

    Args:
        folder: of the results.

    Returns:
        the names of what was removed.

    Raises:
        UserError: if the folder holds no such results, or another run is writing it.
    """
    return clean_folder(folder / MANIFEST_FILE, _ALL_FILES, _REMOVERS)
