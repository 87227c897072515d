"""The object maps of a session on the disk, and how they change their size.

Shapes: ``H`` rows, ``W`` columns, ``K`` objects. Object maps are uint8 ``(H, W)``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vps_d2.data.object_maps import OBJECT_PALETTE, object_numbers
from vps_d2.inference.vos.state import SessionState
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_errors, write_whole
from vps_d2.io.pictures import encode_palette_png
from vps_d2.io.video import numbered_png

__all__ = ["SessionMaps", "check_size", "decide", "shrink_object_map", "working_size"]

Scores = dict[int, float]
"""How certain the objects of a frame are, 0-1, by their numbers; 1 where the user gave them."""

# What damaged pictures and texts make Pillow and JSON raise.
_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, TypeError, AttributeError, RecursionError),
    Image.DecompressionBombError,
)
_SCORES = "vps_d2 scores"  # key of the text in a PNG


class SessionMaps:
    """Reads and writes the maps of a session.

    Args:
        folder: of the session.
        size: height and width of the frames.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self.state = SessionState()

    def given_path(self, action: int, index: int) -> Path:
        """Return the file of the masks that an action gave in a frame."""
        return self.action_folder("masks", action) / numbered_png(index)

    def pass_path(self, action: int, index: int) -> Path:
        """Return the file of the map that a propagation found in a frame."""
        return self.action_folder("propagate", action) / numbered_png(index)

    def action_folder(self, do: str, action: int) -> Path:
        """Return the folder of the files of an action."""
        return self.folder / {"masks": "masks", "propagate": "frames"}[do] / f"{action:06d}"

    def write(self, path: Path, object_map: np.ndarray, scores: Scores | None = None) -> None:
        """Write a map, whole or not at all.

        Raises:
            UserError: if it cannot be written.
        """
        text = {} if scores is None else {_SCORES: json.dumps(scores)}
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as file:
            file.write(encode_palette_png(object_map, OBJECT_PALETTE, text))

    def find_pass(self, index: int, before: int | None = None) -> int | None:
        """Return the latest propagation that made a map of a frame which still holds.

        Args:
            index: of the frame.
            before: look only at propagations before this action.
        """
        for action in reversed(self.state.passes):
            number = action["id"]
            if before is not None and number >= before:
                continue
            if any(e.objects is None and e.covers(index, number) for e in self.state.erasures):
                return None
            inside = action["start"] <= index and (action["end"] is None or index < action["end"])
            if inside and self.pass_path(number, index).exists():
                return int(number)
        return None

    def pass_frames(self, action: int) -> list[int]:
        """Return the indices of the frames to which a propagation came, in ascending order."""
        folder = self.action_folder("propagate", action)
        return sorted(int(path.stem) for path in folder.glob("[0-9]*.png"))

    def read_scores(self, action: int, index: int) -> Scores | None:
        """Return the scores that a propagation found in a frame, without reading the map.

        Returns:
            scores by number; None if the file is missing or damaged.
        """
        try:
            with Image.open(self.pass_path(action, index), formats=["PNG"]) as image:
                scores = json.loads(image.info.get(_SCORES, "{}"))
            return {int(number): float(score) for number, score in scores.items()}
        except _UNREADABLE:
            return None

    def known_frames(self) -> list[int]:
        """Return the indices of the frames of which anything is known, in ascending order."""
        indices = set(self.state.given)
        for action in self.state.passes:
            indices.update(self.pass_frames(action["id"]))
        found = (index for index in indices if index in self.state.given or self.find_pass(index))
        return sorted(found)

    def read(self, index: int, before: int | None = None) -> tuple[np.ndarray, Scores] | None:
        """Read what is known about a frame: what was found, and over it what the user gave.

        Args:
            index: of the frame.
            before: of what was found, take only that of propagations before this action.

        Returns:
            the map and the scores of its objects; None if nothing is known.

        Raises:
            UserError: if a file of the session is damaged.
        """
        found = self.read_found(index, before)
        if found is None and index not in self.state.given:
            return None
        object_map, scores = found or (np.zeros(self.size, np.uint8), Scores())
        self.draw_given(index, object_map)
        return object_map, {**scores, **dict.fromkeys(self.state.given.get(index, ()), 1.0)}

    def read_found(self, index: int, before: int | None = None) -> tuple[np.ndarray, Scores] | None:
        """Read what a propagation found in a frame, as :meth:`read` does, without what is given."""
        found = self.find_pass(index, before)
        if found is None:
            return None
        object_map, scores = self._read_file(self.pass_path(found, index))
        unknown = set(object_numbers(object_map)) - self.state.objects.keys()
        erase(object_map, frozenset(unknown))  # only in a folder that somebody changed
        for erasure in self.state.erasures:
            if erasure.covers(index, found) and erasure.objects is not None:
                erase(object_map, erasure.objects)
                scores = {k: v for k, v in scores.items() if k not in erasure.objects}
        return object_map, scores

    def draw_given(self, index: int, object_map: np.ndarray) -> None:
        """Replace the objects that the user gave in a frame by their masks, in place."""
        given = self.state.given.get(index, {})
        erase(object_map, given)
        for action in sorted(set(given.values())):
            masks, _ = self._read_file(self.given_path(action, index))
            own = np.isin(masks, [number for number, by in given.items() if by == action])
            object_map[own] = masks[own]

    def _read_file(self, path: Path) -> tuple[np.ndarray, Scores]:
        try:
            with Image.open(path, formats=["PNG"]) as image:
                fits = image.size == self.size[::-1] and image.mode == "P"
                object_map = np.array(image) if fits else None
                scores = json.loads(image.info.get(_SCORES, "{}"))
            scores = {int(number): float(score) for number, score in scores.items()}
        except _UNREADABLE as error:
            raise UserError(
                f"{path} cannot be read ({error}); undo the action it belongs to."
            ) from error
        if object_map is None:
            raise UserError(f"{path} is not a map of this session; undo the action it belongs to.")
        return object_map, scores


def erase(object_map: np.ndarray, numbers: Mapping[int, object] | frozenset[int]) -> None:
    """Remove objects from a map, in place."""
    if numbers:
        object_map[np.isin(object_map, list(numbers))] = 0


def check_size(mask: np.ndarray, size: tuple[int, int], what: str) -> None:
    """Check that a mask is one of a frame.

    Args:
        mask: bool or uint8.
        size: height and width of the frames.
        what: the mask is, for the error.

    Raises:
        UserError: if it has another size.
        TypeError: if it has other values.
    """
    if mask.dtype not in (bool, np.uint8):
        raise TypeError(f"{what} has {mask.dtype}, not bool or uint8")
    if mask.shape != size:
        pixels = f"shape {mask.shape}"
        if mask.ndim == 2:
            pixels = f"{mask.shape[1]} x {mask.shape[0]} pixels"
        raise UserError(
            f"{what} has {pixels}, but the video has {size[1]} x {size[0]} pixels; give a mask of "
            "that size."
        )


def working_size(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """Return height and width at which an engine works: never larger than the frames.

    Args:
        size: height and width of the frames.
        short_side: pixels of the shorter side; None for the size of the frames.
    """
    if short_side is None or short_side >= min(size):
        return size
    scale = short_side / min(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def shrink_object_map(object_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a map at the working size; each pixel has the object that covers most of it.

    An object that is too small for that keeps the pixel that it covers most.

    Args:
        object_map: uint8 ``(H, W)``.
        size: height and width of the result.
    """
    if object_map.shape == size:
        return object_map
    numbers = object_numbers(object_map)
    shrunk = np.zeros(size, np.uint8)
    best = cv2.resize(
        (object_map == 0).astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA
    )
    peaks = {}
    for number in numbers:
        share = (object_map == number).astype(np.float32)
        share = cv2.resize(share, size[::-1], interpolation=cv2.INTER_AREA)
        peaks[number] = np.unravel_index(share.argmax(), size)
        better = share > best
        shrunk[better], best[better] = number, share[better]
    for number in numbers:
        if not (shrunk == number).any():
            shrunk[peaks[number]] = number
    return shrunk


def decide(
    probabilities: np.ndarray, numbers: Sequence[int], size: tuple[int, int]
) -> tuple[np.ndarray, Scores]:
    """Return the map of probabilities at the size of the frames, and how certain the objects are.

    Args:
        probabilities: float32 ``(K + 1, h, w)`` at the working size, the background first.
        numbers: of the objects.
        size: height and width of the map.

    Returns:
        the map, and for each object the mean probability of its pixels; 0 for one without any.
    """
    winner = probabilities.argmax(0)
    scores = {}
    for place, number in enumerate(numbers, 1):
        own = probabilities[place][winner == place]
        scores[number] = round(float(own.mean()), 4) if own.size else 0.0
    object_map = np.zeros(size, np.uint8)
    # One object after another, so that memory does not grow with their number.
    best = _enlarge(probabilities[0], size)
    for number, probability in zip(numbers, probabilities[1:], strict=True):
        enlarged = _enlarge(probability, size)
        object_map[enlarged > best] = number
        np.maximum(best, enlarged, out=best)
    return object_map, scores


def _enlarge(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if plane.shape == size:
        return plane.copy()
    return cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)
