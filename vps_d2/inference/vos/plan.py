"""Which frames a propagation visits, and in which order.

It has one or two parts, each of which visits frames in one direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.maps import SessionMaps
from vps_d2.io.errors import UserError

__all__ = ["DIRECTIONS", "Part", "check_start", "count_visits", "plan_parts", "range_around"]

DIRECTIONS = ("forward", "backward", "both", "around")
"""Forward from the first mask; backward from the last one; first forward, and then backward to the
frames before an object was first given; or from one frame both ways, up to the nearest ones where
the objects were given as well."""


@dataclass(frozen=True)
class Part:
    """One direction of a propagation.

    Args:
        begin: index of the first frame that is visited.
        limit: index of the last one; None for the end of the video.
        backward: visit the frames in descending order.
        fills: change only objects in frames before they were first given.
    """

    begin: int
    limit: int | None
    backward: bool = False
    fills: bool = False


def plan_parts(
    action: Action, maps: SessionMaps, first: Mapping[int, int], last: Mapping[int, int]
) -> list[Part]:
    """Return the parts of a propagation."""
    start, end = action["start"], action["end"]
    limit = None if end is None else end - 1
    if action["direction"] == "around":
        at = action["at"]
        return [Part(at, limit), Part(at, start, backward=True)]
    if action["direction"] == "backward":
        return [Part(check_start(action, maps, first), start, backward=True)]
    parts = [Part(check_start(action, maps, first), limit)]
    if action["direction"] == "both":
        inside = [index for index in first.values() if limit is None or index <= limit]
        latest = max(inside, default=start)
        if latest > start:
            parts.append(Part(latest, start, backward=True, fills=True))
    return parts


def count_visits(action: Action, maps: SessionMaps, num_frames: int | None) -> int | None:
    """Return how many frames a propagation visits, one that it visits twice counted twice.

    Args:
        action: the propagation.
        maps: of the session, after the action.
        num_frames: of the video; None if that is not known.

    Returns:
        the number; None if it goes to the end of a video of unknown length.
    """
    given = maps.state.given_frames(action["objects"])
    first = {number: frames[0] for number, frames in given.items()}
    last = {number: frames[-1] for number, frames in given.items()}
    count = 0
    for part in plan_parts(action, maps, first, last):
        limit = part.limit
        if not part.backward and num_frames is not None:
            limit = num_frames - 1 if limit is None else min(limit, num_frames - 1)
        if limit is None:
            return None
        count += max(abs(limit - part.begin) + 1, 1)
    return count


def range_around(
    given: Mapping[int, Sequence[int]], at: int, objects: Sequence[int], end: int | None
) -> tuple[int, int | None]:
    """Return the range between the nearest frames in which objects were given.

    Args:
        given: numbers of the objects that were given in each frame, by its index.
        at: index of a frame in the range.
        objects: their numbers.
        end: index after the last frame that may be in the range.

    Returns:
        index of its first frame and index after its last one; None for the end of the video. The
        nearest frames themselves are not in it.

    Raises:
        UserError: if an object was not given in the frame.
    """
    if not objects or not set(objects) <= set(given.get(at, ())):
        raise UserError(
            f"frame {at} has no mask that was given of each object to follow; give one there."
        )
    fixed = [index for index, numbers in given.items() if set(objects) <= set(numbers)]
    before = max((index for index in fixed if index < at), default=-1)
    after = min((index for index in fixed if index > at), default=None)
    ends = [each for each in (after, end) if each is not None]
    return before + 1, min(ends, default=None)


def check_start(action: Action, maps: SessionMaps, numbers: Mapping[int, object]) -> int:
    """Return the index of the frame in which a propagation begins.

    That is the end of the range, if anything is known there, or the nearest frame with a mask.

    Args:
        action: the propagation.
        maps: of the session.
        numbers: of the objects to follow.

    Raises:
        UserError: if no object has a mask in the range.
    """
    start, end = action["start"], action["end"]
    if action["direction"] == "around":
        return int(action["at"])
    backward = action["direction"] == "backward"
    edge = start if not backward else (None if end is None else end - 1)
    known = edge is not None and maps.find_pass(edge, action["id"]) is not None
    if known and numbers:
        assert edge is not None
        return edge
    inside = [
        index
        for index, given in maps.state.given.items()
        if start <= index and (end is None or index < end) and given.keys() & numbers.keys()
    ]
    if not inside:
        where = f"from frame {start} on" if end is None else f"in frames {start} to {end - 1}"
        raise UserError(f"no object has a mask {where}; give one there, or choose another range.")
    return max(inside) if backward else min(inside)
