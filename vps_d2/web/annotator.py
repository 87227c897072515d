"""All that the page can do with a session, without HTTP.

A change is on the disk when its method returns, and increments :attr:`Annotator.revision`. Methods
may be called from any thread: whoever changes something holds the session's lock, which a long job
leaves to others between two frames.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.plan import count_visits
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.inference.vos.session import FrameResult, VOSSession
from vps_d2.inference.vos.store import read_head
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.web.frames import CachedSource
from vps_d2.web.jobs import BusyError, CancelledError, Gate, Job
from vps_d2.web.transfer import Upload, import_upload
from vps_d2.web.view import MissingError, PageView

__all__ = ["Annotator", "open_session"]

_WAIT_FOR_ENGINE = 120.0  # seconds
_FIRST_MASK_ROWS = 16


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


class Annotator(PageView):
    """A session, and the work that is done in it.

    Args:
        session: opened with a :class:`~vps_d2.web.frames.CachedSource`, and without an engine if
            :meth:`use_engine` follows.
    """

    def __init__(self, session: VOSSession) -> None:
        super().__init__(session)
        self._gate = Gate(session.lock)
        # PyTorch keeps threads of its own for each thread that computes with it.
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
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

    def _check_object(self, number: int) -> None:
        if number not in self.session.objects:
            raise MissingError(f"there is no object {number} any more; choose another one.")

    def _check_objects(self, numbers: Sequence[int] | None) -> None:
        for number in numbers or ():
            self._check_object(number)
