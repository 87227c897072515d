"""A session in which a robot labels a video as a person would: it clicks, follows and corrects.

Shapes: ``H`` rows, ``W`` columns.
"""

from collections.abc import Callable, Sequence

import numpy as np

from vps_d2.data.object_maps import object_numbers
from vps_d2.data.strokes import CLICK_RADIUS
from vps_d2.evaluation.prompts import click_on, largest_error, mask_iou
from vps_d2.inference.vos.session import VOSSession

__all__ = ["run_scripted_session"]

_MAX_CLICKS = 3  # for an object in a frame
_GOOD = 0.9  # intersection over union after which it is not clicked on again
_LEAST_ERROR = 30  # pixels


def run_scripted_session(
    session: VOSSession,
    truth: Sequence[np.ndarray],
    tell: Callable[[str], None],
    corrections: int = 2,
) -> list[float]:
    """Label all objects of a video.

    The robot clicks on each object in the first frame in which it is whole, follows all of them
    through the video, and corrects those that are worst in the worst frame.

    Args:
        session: an empty one, with an engine and something that makes masks.
        truth: the true object map of each frame, uint8 ``(H, W)``.
        tell: is given a line for each thing that is done.
        corrections: frames to correct.

    Returns:
        the mean intersection over union of the objects in all frames in which they are visible:
        after they were followed, and after each correction.
    """
    numbers = sorted({number for frame in truth for number in object_numbers(frame)})
    for number in numbers:
        areas = [int((frame == number).sum()) for frame in truth]
        index = next(i for i, area in enumerate(areas) if area >= 0.8 * max(areas))
        session.add_object(number=number)
        _click(session, index, number, truth[index], tell)
    _follow(session, "both", 0, tell)
    scores = [_mean_score(session, truth, numbers)]
    for _ in range(corrections):
        found = [_frame_score(session, index, frame) for index, frame in enumerate(truth)]
        for index in np.argsort(found, kind="stable").tolist():
            visible = object_numbers(truth[index])
            clicked = [_click(session, index, k, truth[index], tell) for k in visible]
            if any(clicked):
                _follow(session, "around", index, tell)
                scores.append(_mean_score(session, truth, numbers))
                break
    return scores


def _click(
    session: VOSSession,
    index: int,
    number: int,
    truth: np.ndarray,
    tell: Callable[[str], None],
) -> bool:
    """Click in the middle of the largest error until the mask is good.

    A click that makes it worse is undone, and errors that are too small to aim at are left.

    Returns:
        whether the mask changed.
    """
    wanted, changed = truth == number, False
    for _ in range(_MAX_CLICKS):
        found = _mask(session, index, number)
        before = mask_iou(found, wanted)
        error, positive = largest_error(found, wanted)
        if before >= _GOOD or error.sum() < _LEAST_ERROR:
            break
        radius = min(CLICK_RADIUS, max(error.sum() / np.pi, 1) ** 0.5 / 2)
        click = click_on(error, positive, radius)
        column, row = map(int, click.points[0])
        session.add_strokes(index, [click], number)
        after = mask_iou(_mask(session, index, number), wanted)
        line = (
            f"frame {index}, object {number}: {'click' if positive else 'click to take away'} at "
            f"({column}, {row}), IoU {before:.2f} -> {after:.2f}"
        )
        if after <= before:
            session.undo()
            tell(f"{line}, undone")
            break
        tell(line)
        changed = True
    return changed


def _follow(session: VOSSession, direction: str, start: int, tell: Callable[[str], None]) -> None:
    count = sum(1 for _ in session.propagate(direction, start))
    where = "through the video" if direction == "both" else f"around frame {start}"
    tell(f"follow all objects {where}: {count} frames")


def _mask(session: VOSSession, index: int, number: int) -> np.ndarray:
    known = session.object_map(index)
    return np.zeros(session.size, bool) if known is None else known == number


def _frame_score(session: VOSSession, index: int, truth: np.ndarray) -> float:
    """Return the mean intersection over union of the objects in a frame, 1 if there is none."""
    found = [mask_iou(_mask(session, index, k), truth == k) for k in object_numbers(truth)]
    return float(np.mean(found)) if found else 1.0


def _mean_score(session: VOSSession, truth: Sequence[np.ndarray], numbers: Sequence[int]) -> float:
    scores = []
    for number in numbers:
        seen = [index for index, frame in enumerate(truth) if (frame == number).any()]
        scores.append(
            np.mean([mask_iou(_mask(session, i, number), truth[i] == number) for i in seen])
        )
    return float(np.mean(scores))
