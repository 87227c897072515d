"""How the propagations of a session are begun, run while masks are given, and gone on with."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.plan import DIRECTIONS, check_start, range_around
from vps_d2.inference.vos.propagation import FrameResult, Propagation
from vps_d2.inference.vos.store import SessionStore
from vps_d2.io.errors import UserError
from vps_d2.io.video import VideoSource

__all__ = ["PropagationRunner"]

_ALLOWED_MEANWHILE = ("masks", "add_object")  # while a propagation runs


class PropagationRunner:
    """Runs propagations as actions of a session.

    Args:
        source: the video.
        store: of the session.
        lock: held for a frame at a time.
    """

    def __init__(
        self, source: VideoSource, store: SessionStore, lock: AbstractContextManager[Any]
    ) -> None:
        self.source, self.store, self.lock = source, store, lock

    def start(
        self,
        engine: VOSEngine,
        direction: str,
        start: int,
        end: int | None,
        objects: Sequence[int] | None,
        short_side: int | None,
    ) -> Iterator[FrameResult]:
        """Log a propagation and begin it; see :meth:`VOSSession.propagate`."""
        if direction not in DIRECTIONS:
            raise ValueError(f"a direction is one of {', '.join(DIRECTIONS)}, not {direction}")
        state, at = self.store.maps.state, None
        if direction == "around":
            at = start
            given = {index: sorted(numbers) for index, numbers in state.given.items()}
            objects = given.get(at, []) if objects is None else objects
            start, end = range_around(given, at, objects, end)
        numbers = sorted(state.objects if objects is None else objects)
        values: dict[str, Any] = {
            "direction": direction,
            "at": at,
            "start": start,
            "end": end,
            "objects": numbers,
            "engine": engine.fingerprint(),
            "short_side": short_side,
        }
        next_id = self.store.log.next_id()
        check_start({"id": next_id, **values}, self.store.maps, state.given_frames(numbers))
        return self._run(engine, self.store.do("propagate", **values), resume=False)

    @property
    def unfinished(self) -> Action | None:
        """The last action, if it is a propagation that did not come to its end; None otherwise."""
        done = self.store.done()
        if not done or done[-1]["do"] != "propagate" or self.is_done(done[-1]["id"]):
            return None
        return done[-1]

    def is_done(self, action: int) -> bool:
        """Return whether a propagation, by the number of its action, came to its end."""
        actions = self.store.log.actions
        return any(each["do"] == "done" and each["of"] == action for each in actions)

    def resume(self, engine: VOSEngine, short_side: int | None) -> Iterator[FrameResult]:
        """Go on with :attr:`unfinished`; see :meth:`VOSSession.resume`."""
        action, folder = self.unfinished, self.store.folder
        if action is None:
            raise UserError(f"{folder} has no interrupted propagation; start a new one.")
        if (action["engine"], action["short_side"]) != (engine.fingerprint(), short_side):
            raise UserError(
                f"{folder} has a propagation by another engine or at another size; give the "
                "same ones to go on with it, or start a new one."
            )
        return self._run(engine, action, resume=True)

    def _run(self, engine: VOSEngine, action: Action, resume: bool) -> Iterator[FrameResult]:
        if not resume:  # files of a process that was killed before it wrote the log
            self.store.clean_action("propagate", action["id"])
        run = Propagation(self.source, engine, self.store.maps, action, action["short_side"])
        return self._drive(run.run(resume), action["id"], len(self.store.log.actions))

    def _drive(
        self, results: Iterator[FrameResult], action: int, count: int
    ) -> Iterator[FrameResult]:
        """Yield results, until something else is done than what may be done meanwhile.

        Args:
            results: of a propagation.
            action: its number.
            count: of the actions that had been done when it began, which may be long before the
                first result is asked for.
        """
        log = self.store.log
        while True:
            with self.lock:
                if any(each["do"] not in _ALLOWED_MEANWHILE for each in log.actions[count:]):
                    return
                result = next(results, None)
                if result is None:
                    log.append("done", {"of": action})
                    return
            yield result
