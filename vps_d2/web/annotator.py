"""All that the page can do with a session, without HTTP.

A change is on the disk when its method returns, and increments :attr:`Annotator.revision`. Methods
may be called from any thread: whoever changes something holds the session's lock, which a long job
leaves to others between two frames. What only looks takes no lock, so it never waits for a network.

Shapes: ``H`` rows and ``W`` columns of the video.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from vps_d2.data.object_maps import OBJECT_PALETTE
from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.inference.vos.propagation import count_visits
from vps_d2.inference.vos.session import FrameResult, VOSSession
from vps_d2.inference.vos.store import read_head
from vps_d2.inference.vos.timeline import Timeline
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import encode_palette_png
from vps_d2.io.video import open_video
from vps_d2.web.frames import CachedSource, FrameStore, scale_to_rows
from vps_d2.web.jobs import BusyError, CancelledError, Gate, Job, Jobs
from vps_d2.web.transfer import Exports, Upload, import_upload

__all__ = ["Annotator", "MissingError", "open_session"]

_WAIT_FOR_ENGINE = 120.0  # seconds
_FIRST_MASK_ROWS = 16

Value = TypeVar("Value")


def open_session(
    video: Path | None, folder: Path | None, output: Path, rate: Fraction | None = None
) -> VOSSession:
    """Open a session whose engine comes later.

    Args:
        video: file or folder of pictures; None for that of an existing session.
        folder: of the session; None for one in ``output`` with the name of the video.
        output: see there.
        rate: frames per second of a folder of pictures; None for the default.

    Raises:
        UserError: if the video cannot be opened, or the folder not be used.
    """
    if video is None:
        assert folder is not None
        head = read_head(folder)
        if head is None:
            raise UserError(f"{folder} holds no session; name the video to begin one.")
        video = Path(head["video"]["path"])
    source = open_video(video, rate)
    return VOSSession(CachedSource(source), folder or output / source.name)


class MissingError(UserError):
    """What was asked for does not exist."""


class Annotator:
    """A session, and the work that is done in it.

    Args:
        session: opened with a :class:`~vps_d2.web.frames.CachedSource`, and without an engine if
            :meth:`use_engine` follows.

    Attributes:
        revision: number of changes so far; each frame that is found is one.
        frames: of the video, for the page.
        shown: set when the first frame has been asked for and made.
    """

    def __init__(self, session: VOSSession) -> None:
        assert isinstance(session.source, CachedSource)
        self.session = session
        self.revision, self.shown = 0, threading.Event()
        self.frames = FrameStore(session.source)
        self.timeline = Timeline(session.maps)
        self.exports = Exports(session.folder)
        self._jobs = Jobs(self._bump)
        self._gate = Gate(session.lock)
        # PyTorch keeps threads of its own for each thread that computes with it.
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._listeners: list[Callable[[], None]] = []
        self._counting = threading.Lock()
        self._ready, self._closed = threading.Event(), threading.Event()
        self._stale = threading.Event()
        self._stale.set()
        if session.engine is not None:
            self._ready.set()
        threading.Thread(target=self._keep_timeline, name="timeline", daemon=True).start()

    def use_engine(
        self, engine: VOSEngine, mask_maker: MaskMaker | None, short_side: int | None
    ) -> None:
        """Take the engine, for which strokes and propagations wait.

        Args:
            engine: follows the objects.
            mask_maker: makes masks of clicks and scribbles; None for none.
            short_side: see :class:`~vps_d2.inference.vos.session.VOSSession`.
        """
        with self.session.lock:
            self.session.engine, self.session.short_side = engine, short_side
            self.session.mask_maker = mask_maker
        self._ready.set()
        self._bump()

    def close(self) -> None:
        """End the job that runs, and close the session."""
        self.leave()
        self._ready.set()
        self._stale.set()
        self._jobs.cancel(wait=60)
        self._network.shutdown()
        self.frames.close()
        with self.session.lock:
            self.session.close()

    def leave(self) -> None:
        """Let go of all that listen, before :meth:`close`."""
        self._closed.set()
        for listener in list(self._listeners):
            listener()

    @property
    def is_closed(self) -> bool:
        """Whether the session is about to be closed."""
        return self._closed.is_set()

    # What the page shows

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change, from the thread that made it.

        Returns:
            a function that ends this.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def state(self) -> dict[str, Any]:
        """Return all but the frames and what is known of them, as the page is told."""
        session, source, job = self.session, self.session.source, self._jobs.last
        unfinished = None if self._jobs.running else session.unfinished
        keys = ("direction", "start", "end")
        return {
            "video": {
                "name": source.name,
                "width": source.width,
                "height": source.height,
                "rate": float(source.rate),
                "num_frames": source.num_frames,
                "losses": source.losses,
            },
            "engine": _describe(session.engine),
            "prompts": _describe(session.mask_maker),
            "objects": [
                {"number": number, "name": name, "color": _color(number)}
                for number, name in session.objects.items()
            ],
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "job": None if job is None else job.to_json(),
            "unfinished": unfinished and {key: unfinished[key] for key in keys},
            "revision": self.revision,
            "exports": self.exports.list(source.name),
        }

    def rows(self) -> dict[str, Any]:
        """Return the timeline, as the page is told."""
        rows = self.timeline.rows()
        count = self.session.source.num_frames
        if count is None:
            last = [run[1] for row in rows.values() for run in row["runs"]]
            count = max([*last, *(k + 1 for row in rows.values() for k in row["touched"])] or [0])
        return {"frames": count, "objects": {str(number): row for number, row in rows.items()}}

    def frame(self, index: int, rows: int | None = None) -> bytes:
        """Return a frame as a JPEG; see :meth:`vps_d2.web.frames.FrameStore.jpeg`.

        Raises:
            MissingError: if there is no such frame, or it cannot be read.
        """
        try:
            return self.frames.jpeg(index, rows)
        except UserError as error:
            raise MissingError(str(error)) from error
        finally:
            self.shown.set()

    def mask(self, index: int, rows: int | None = None) -> bytes | None:
        """Return what is known of a frame as a PNG in the colors of the objects.

        Args:
            index: of the frame.
            rows: height of the PNG; None for that of the video, which it never exceeds.

        Returns:
            a PNG that is transparent where no object is; None if nothing is known.
        """
        self._check_frame(index)
        object_map = self._look(lambda: self.session.object_map(index))
        if object_map is None:
            return None
        rows = max(rows or len(object_map), _FIRST_MASK_ROWS)
        object_map = scale_to_rows(object_map, rows, cv2.INTER_NEAREST)
        return encode_palette_png(object_map, OBJECT_PALETTE, transparent=0)

    def strokes(self, index: int) -> dict[str, list[dict[str, Any]]]:
        """Return the strokes in a frame, by the numbers of their objects."""
        self._check_frame(index)
        drawn = {number: self.session.strokes(index, number) for number in self.session.objects}
        return {
            str(number): [stroke.to_json() for stroke in strokes]
            for number, strokes in drawn.items()
            if strokes
        }

    # What the user does

    def add_strokes(self, index: int, strokes: Sequence[Stroke], number: int | None) -> int:
        """Make or correct the mask of an object; return its number.

        Raises:
            MissingError: if there is no such frame or object.
            UserError: as :meth:`VOSSession.add_strokes`.
        """
        self._check_frame(index)
        if any(stroke.tool != "paint" for stroke in strokes):
            self._wait_for_engine()

        def run() -> int:
            with self._change("import"):
                if number is not None:
                    self._check_object(number)
                return self.session.add_strokes(index, strokes, number)

        self._refuse(["import"])
        with self.frames.paused():
            return self._network.submit(run).result()

    def add_object(self, name: str) -> int:
        """Add an object; return its number."""
        with self._change("import"):
            return self.session.add_object(name)

    def rename_object(self, number: int, name: str) -> None:
        """Give an object another name."""
        with self._change("import", "export"):
            self._check_object(number)
            self.session.add_object(name, number)

    def remove_object(self, number: int) -> None:
        """Remove an object from all frames."""
        with self._change("import", "export"):
            self._check_object(number)
            self.session.remove_object(number)

    def clear(self, start: int, end: int | None, objects: Sequence[int] | None) -> None:
        """Remove what is known in a range of frames."""
        with self._change("import", "export"):
            self._check_objects(objects)
            self.session.clear(start, end, objects)

    def turn(self, do: str) -> bool:
        """Do "undo" or "redo". Return whether there was anything to do."""
        with self._change("import", "export"):
            return self.session.undo() if do == "undo" else self.session.redo()

    # Jobs

    def propagate(
        self, direction: str, start: int, end: int | None, objects: Sequence[int] | None
    ) -> Job:
        """Begin to follow objects; see :meth:`VOSSession.propagate`."""
        self._wait_for_engine()
        with self._jobs.starting():
            with self._change():
                self._check_objects(objects)
                results = self.session.propagate(direction, start, end, objects)
                action = self.session.maps.state.passes[-1]
                total = self._count_visits(action)
            self.timeline.begin(action["id"])
            return self._follow(results, action["id"], total, 0)

    def resume(self) -> Job:
        """Go on with a propagation that was interrupted."""
        self._wait_for_engine()
        with self._jobs.starting():
            with self._change():
                action = self.session.unfinished
                results = self.session.resume()
            assert action is not None
            total = self._count_visits(action)
            return self._follow(results, action["id"], total, self.timeline.count(action["id"]))

    def export(self, form: str) -> Job:
        """Begin to write an export; see :meth:`VOSSession.export`."""

        def run(job: Job) -> str:
            return self.exports.write(self.session, form, job)

        return self._jobs.start("export", run)

    def check_free(self) -> None:
        """Check that no job runs.

        Raises:
            BusyError: if one does.
        """
        with self._jobs.starting():
            pass

    def import_masks(self, upload: Upload) -> Job:
        """Begin to take in masks; the upload is closed in the end."""

        def run(job: Job) -> str:
            with upload, self.session.lock:
                numbers = import_upload(upload, self.session, job)
            return f"masks of {len(numbers)} object{'s' * (len(numbers) != 1)} were imported."

        return self._jobs.start("import", run)

    def cancel(self) -> None:
        """End the job that runs; what it finished is kept."""
        self._jobs.cancel()

    def _follow(
        self, results: Iterator[FrameResult], action: int, total: int | None, done: int
    ) -> Job:
        def find() -> FrameResult | None:
            with self._gate.last():
                return next(results, None)

        def run(job: Job) -> str:
            job.done = done
            try:
                while (result := self._network.submit(find).result()) is not None:
                    self.timeline.add(action, result.frame_index, result.scores)
                    try:
                        job.step(result.frame_index)
                    finally:
                        self._bump()
            finally:
                with self.session.lock:
                    close = getattr(results, "close", None)
                    if close is not None:
                        close()
            if not self.session.is_done(action):
                raise CancelledError("it ended, because what it began with was changed.")
            return ""

        return self._jobs.start("propagate", run, total)

    # Inside

    @contextmanager
    def _change(self, *excluded: str) -> Iterator[None]:
        """Hold the lock of the session for a change.

        Args:
            excluded: kinds of jobs during which it cannot be done.
        """
        self._refuse(excluded)
        with self._gate.first():
            self._refuse(excluded)
            yield
            self._stale.set()
        self._bump()

    def _refuse(self, excluded: Sequence[str]) -> None:
        if self._closed.is_set():
            raise BusyError("the server is being stopped.")
        job = self._jobs.running
        if job is not None and job.kind in excluded:
            raise BusyError(f"this has to wait for the {job.kind} that is running, or cancel it.")

    def _bump(self) -> None:
        with self._counting:
            self.revision += 1
        for listener in list(self._listeners):
            listener()

    def _look(self, read: Callable[[], Value]) -> Value:
        """Read something that may be changed meanwhile, and then is read once more."""
        revision = self.revision
        try:
            return read()
        except UserError:
            if revision == self.revision:
                raise
            return read()

    def _count_visits(self, action: Action) -> int | None:
        return count_visits(action, self.session.maps, self.session.source.num_frames)

    def _wait_for_engine(self) -> None:
        if not self._ready.wait(_WAIT_FOR_ENGINE):
            raise BusyError("the network is still being loaded; try again in a while.")

    def _keep_timeline(self) -> None:
        """Read the scores of propagations that were made before the session was opened."""
        while not self._closed.is_set():
            self._stale.wait()
            self._stale.clear()
            if self.timeline.load(lambda: not self._closed.is_set()):
                self._bump()

    def _check_frame(self, index: int) -> None:
        count = self.session.source.num_frames
        if index < 0 or (count is not None and index >= count):
            raise MissingError(f"the video has no frame {index}; choose another one.")

    def _check_object(self, number: int) -> None:
        if number not in self.session.objects:
            raise MissingError(f"there is no object {number} any more; choose another one.")

    def _check_objects(self, numbers: Sequence[int] | None) -> None:
        for number in numbers or ():
            self._check_object(number)


def _describe(part: Any) -> dict[str, str] | None:
    if part is None:
        return None
    return {"source": part.source, "license_note": part.license_note}


def _color(number: int) -> str:
    return "#" + bytes(np.asarray(OBJECT_PALETTE[number])).hex()
