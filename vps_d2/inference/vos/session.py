"""A session of video object segmentation: masks are given, and followed through a video.

Everything that the user does is on the disk before it is answered. A session that was killed at any
moment opens again with every mask that was given, and with every frame that was finished::

    with VOSSession(open_video("clip.mp4"), "output/session", engine) as session:
        session.add_mask(0, object_map)
        for index, found, scores in session.propagate("forward"):
            print(index, scores)
        session.export("output/masks", "palette")

Clicks and scribbles make the mask of an object in one frame, with whatever makes masks for the
session; the log keeps them with the mask.

The folder holds ``session.json``, the log ``actions.jsonl``, and object maps as PNGs with DAVIS's
palette: those given in ``masks/ACTION/`` and those found in ``frames/ACTION/``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np

from vps_d2.data.object_maps import object_numbers
from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.maps import check_size
from vps_d2.inference.vos.prompts import MaskMaker, apply_strokes
from vps_d2.inference.vos.propagation import FrameResult
from vps_d2.inference.vos.state import DEFAULT_NAME
from vps_d2.inference.vos.store import read_head
from vps_d2.inference.vos.view import SessionView
from vps_d2.io.errors import UserError
from vps_d2.io.video import VideoSource, open_video

__all__ = ["FrameResult", "VOSSession"]

_MAX_NUMBER = 255


class VOSSession(SessionView, AbstractContextManager["VOSSession"]):
    """Objects in a video, and where they are.

    Args:
        source: the video.
        folder: of the session; a session of the same video that it holds is opened again.
        engine: follows the objects; None if nothing is to be propagated.
        mask_maker: makes masks from clicks and scribbles; None if there are to be none.
        short_side: pixels of the shorter side at which the engine works; None for the size of the
            video. Masks always have the size of the video.

    Raises:
        UserError: if the folder holds something else or a session of another video, another
            process has opened it, or it cannot be written.
    """

    def __init__(
        self,
        source: VideoSource,
        folder: str | Path,
        engine: VOSEngine | None = None,
        *,
        mask_maker: MaskMaker | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(source, Path(folder))
        self.engine, self.mask_maker, self.short_side = engine, mask_maker, short_side

    @classmethod
    def load(
        cls,
        folder: str | Path,
        engine: VOSEngine | None = None,
        *,
        mask_maker: MaskMaker | None = None,
        short_side: int | None = None,
    ) -> "VOSSession":
        """Open a session with the video that it was made for.

        Args:
            folder: of the session.
            engine: as for a new session.
            mask_maker: likewise.
            short_side: likewise.

        Raises:
            UserError: if the folder holds no session, or the video is no longer there.
        """
        content = read_head(Path(folder))
        if content is None:
            raise UserError(f"{folder} holds no session; check the path.")
        source = open_video(content["video"]["path"])
        return cls(source, folder, engine, mask_maker=mask_maker, short_side=short_side)

    def save(self, folder: str | Path) -> None:
        """Write a copy of the session; the session itself is always on the disk.

        Args:
            folder: for the copy; a folder of that name is replaced if it holds a session.

        Raises:
            UserError: if the folder holds something else, or cannot be written.
        """
        self._store.copy(Path(folder))

    def close(self) -> None:
        """Let other processes open the session; nothing is left to be written."""
        self._store.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add_object(self, name: str = DEFAULT_NAME, number: int | None = None) -> int:
        """Add an object, or give one another name.

        Args:
            name: of its class, for exports.
            number: 1-255; None for the lowest one that is free.

        Returns:
            its number.

        Raises:
            UserError: if there are 255 objects already, or the name is empty.
        """
        if not name.strip():
            raise UserError("the name of an object is empty; give one.")
        if number is None:
            number = self._free_number()
        self._check_number(number)
        self._store.do("add_object", object=number, name=name.strip())
        return number

    def remove_object(self, number: int) -> None:
        """Remove an object from all frames.

        Raises:
            UserError: if there is no such object.
        """
        self._check_known([number])
        self._store.do("remove_object", object=number)

    def add_mask(
        self,
        frame_index: int,
        mask: np.ndarray,
        number: int | None = None,
        absent: Sequence[int] = (),
    ) -> list[int]:
        """Give the masks of objects in a frame, which no propagation overwrites.

        Args:
            frame_index: of the frame.
            mask: an object map uint8 ``(H, W)``; or the mask of one object, bool ``(H, W)``, which
                may be empty where the object is not visible.
            number: of the object of such a mask; None for a new one.
            absent: objects that are not visible in the frame. Of an object that is neither here nor
                in the map, nothing is said.

        Returns:
            the numbers of the objects that were given.

        Raises:
            UserError: if the mask has another size or no object, or the video has no such frame.
        """
        check_size(mask, self.size, "the mask")
        if mask.dtype == bool:
            number = self._free_number() if number is None else number
            self._check_number(number)
            object_map, numbers = np.where(mask, number, 0).astype(np.uint8), [number]
        else:
            object_map, numbers = mask, sorted({*object_numbers(mask), *absent})
        if not numbers:
            raise UserError("the mask is empty; mark at least one object in it.")
        self.source.read(frame_index)  # so that a mask of no frame is refused
        self._store.give([(frame_index, object_map, numbers)])
        return numbers

    def add_masks(self, maps: Iterable[tuple[int, np.ndarray]]) -> list[int]:
        """Give the masks of many frames, as one action, such as those of an imported file.

        Args:
            maps: pairs of the index of a frame and its object map, uint8 ``(H, W)``.

        Returns:
            the numbers of the objects that were given.

        Raises:
            UserError: if a map has another size, the video has no such frame, or no map has an
                object.
        """
        count = self.source.num_frames

        def check() -> Iterator[tuple[int, np.ndarray, list[int]]]:
            for index, object_map in maps:
                check_size(object_map, self.size, f"the mask of frame {index}")
                if index < 0 or (count is not None and index >= count):
                    raise UserError(
                        f"there is a mask of frame {index}, but the video ends before; give masks "
                        "of this video."
                    )
                if numbers := object_numbers(object_map):
                    yield index, object_map, numbers

        return self._store.give(check())

    def add_strokes(
        self,
        frame_index: int,
        strokes: Sequence[Stroke],
        number: int | None = None,
        picture: np.ndarray | None = None,
    ) -> int:
        """Make or correct the mask of an object in a frame by strokes.

        Args:
            frame_index: of the frame.
            strokes: that were drawn; clicks and scribbles need :attr:`mask_maker`.
            number: of the object; None for a new one.
            picture: the frame, if the caller has it.

        Returns:
            the number of the object.

        Raises:
            UserError: if there is no stroke, the video has no such frame, or nothing makes masks
                or none comes out for a new object.
        """
        is_new = number is None
        number = self._free_number() if number is None else number
        self._check_number(number)
        if picture is None:
            picture = self.source.read(frame_index).picture
        known = self.object_map(frame_index)
        mask = np.zeros(self.size, bool) if known is None else known == number
        before = self.strokes(frame_index, number)
        mask = apply_strokes(self.mask_maker, picture, mask, before, strokes)
        if is_new and not mask.any():
            raise UserError("the strokes mark no object; click or scribble on one.")
        object_map = np.where(mask, number, 0).astype(np.uint8)
        self._store.give([(frame_index, object_map, [number])], strokes)
        return number

    def clear(
        self, start: int = 0, end: int | None = None, objects: Sequence[int] | None = None
    ) -> None:
        """Remove what was given and found in a range of frames.

        Args:
            start: index of the first frame.
            end: index after the last frame; None for the end of the video.
            objects: to remove; None for all.

        Raises:
            UserError: if the range is empty, or there is no such object.
        """
        _check_range(start, end)
        self._check_known(objects or ())
        self._store.do(
            "clear", start=start, end=end, objects=None if objects is None else list(objects)
        )

    def propagate(
        self,
        direction: str = "forward",
        start: int = 0,
        end: int | None = None,
        objects: Sequence[int] | None = None,
    ) -> Iterator[FrameResult]:
        """Follow objects through a range of frames; what is given in them stays as it is.

        A frame is on the disk when it is yielded. Masks may be given meanwhile; the propagation
        ends early if the iterator is closed, or if anything else is done with the session.

        Args:
            direction: "forward", from the first mask in the range; "backward", from the last one;
                "both": forward, and then backward from where each object was first given; or
                "around": from one frame both ways, up to the nearest ones in which the objects
                were given as well.
            start: index of the first frame of the range, or of that one frame.
            end: index after its last frame; None for the end of the video.
            objects: to follow; None for all, or for those that were given in the one frame. The
                others keep what is known of them.

        Returns:
            an iterator over the frames, each with its index, its object map, and the scores of its
            objects.

        Raises:
            UserError: if the range is empty, an object is unknown, or none has a mask in the range.
        """
        _check_range(start, end)
        self._check_known(objects or ())
        engine = self._require_engine()
        return self._runner.start(engine, direction, start, end, objects, self.short_side)

    def resume(self) -> Iterator[FrameResult]:
        """Go on with :attr:`unfinished`; the results are the same as without the interruption.

        Returns:
            an iterator over the frames that are left, and perhaps some that were finished.

        Raises:
            UserError: if there is nothing to go on with, or it was begun by another engine or at
                another size.
        """
        return self._runner.resume(self._require_engine(), self.short_side)

    def undo(self) -> bool:
        """Undo the last action. Return whether there was one."""
        return self._store.turn("undo")

    def redo(self) -> bool:
        """Do again what was undone last, if nothing else was done since. Return whether it was."""
        return self._store.turn("redo")

    def export(self, path: str | Path, form: str, *, progress: bool = False) -> list[str]:
        """Write what is known of all frames to files of some form.

        Args:
            path: of the file or folder; see :mod:`vps_d2.inference.vos.exporting`.
            form: "palette", "binary", "coco", "ytvis", "overlay" or "dataset".
            progress: show a progress bar.

        Returns:
            sentences about what the files have that the frames have not.

        Raises:
            UserError: if nothing is known yet, or the files cannot be written.
        """
        from vps_d2.inference.vos.exporting import export_session

        return export_session(self, Path(path), form, progress=progress)

    def import_masks(
        self, path: str | Path, step: Callable[[int], None] | None = None
    ) -> list[int]:
        """Give the masks of a file or folder, as one action.

        Args:
            path: of what :meth:`export` writes as "palette", "binary", "coco" or "ytvis".
            step: called with the index of each frame; nothing is given if it raises an error.

        Returns:
            the numbers of the objects that were given.

        Raises:
            UserError: if it is none of these, or does not fit the video.
        """
        from vps_d2.inference.vos.importing import read_masks

        names, maps = read_masks(Path(path), self.source)

        def watch() -> Iterator[tuple[int, np.ndarray]]:
            for index, object_map in maps:
                if step is not None:
                    step(index)
                yield index, object_map

        numbers = self.add_masks(watch())
        for number in numbers:
            if names.get(number, DEFAULT_NAME) != self.objects[number]:
                self.add_object(names[number], number)
        return numbers

    def _require_engine(self) -> VOSEngine:
        if self.engine is None:
            raise UserError("the session has no engine; open it with one to propagate masks.")
        return self.engine

    def _free_number(self) -> int:
        free = set(range(1, _MAX_NUMBER + 1)) - self._store.maps.state.objects.keys()
        if not free:
            raise UserError(f"there are {_MAX_NUMBER} objects, which is the most; remove some.")
        return min(free)

    @staticmethod
    def _check_number(number: int) -> None:
        if not 1 <= number <= _MAX_NUMBER:
            raise UserError(f"object number {number} is not from 1 to {_MAX_NUMBER}; choose one.")

    def _check_known(self, numbers: Iterable[int]) -> None:
        known = self.objects
        for number in numbers:
            if number not in known:
                listed = ", ".join(map(str, known)) or "none yet"
                raise UserError(f"there is no object {number}; the objects are {listed}.")


def _check_range(start: int, end: int | None) -> None:
    if start < 0 or (end is not None and end <= start):
        raise UserError(f"frames {start} to {end} are no range; count from 0 and go forward.")
