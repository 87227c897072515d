"""Interactive segmentation of one video: scribble, follow, score, and scribble where it is worst.

The work is done by the session of the annotation page
(:class:`vps_d2.inference.vos.session.VOSSession`), so what is measured is what its users get.

Shapes: ``H`` rows, ``W`` columns, ``T`` frames, ``K`` objects.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vps_d2.data.object_maps import object_numbers
from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.evaluation.interactive.robot import Scribble, draw_scribbles
from vps_d2.evaluation.interactive.samples import (
    ROBOT,
    InteractiveVideo,
    make_first_scribbles,
    read_scribbles,
)
from vps_d2.evaluation.interactive.summary import Round, Sample, choose_frame, score_frame
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError

__all__ = ["RoundOptions", "run_sample"]

_RADIUS = 0.5  # of the robot's pen: its lines are one pixel wide, as in the challenge


@dataclass(frozen=True)
class RoundOptions:
    """How a video is segmented.

    Args:
        num_rounds: of scribbles.
        object_seconds: time for all rounds of a video, for each of its objects; None for no limit.
        short_side: pixels of the shorter side at which the engine works; None for the size of the
            video.
    """

    num_rounds: int = 8
    object_seconds: float | None = None
    short_side: int | None = None


def run_sample(
    video: InteractiveVideo,
    scribbles: Path | None,
    makers: tuple[VOSEngine, MaskMaker],
    options: RoundOptions,
    folder: Path,
    on_round: Callable[[], None] = lambda: None,
) -> Sample:
    """Segment a video from scribbles, and correct it in rounds.

    Args:
        video: to segment.
        scribbles: file with the first ones; None if the robot draws them.
        makers: what follows objects, and what makes masks of scribbles.
        options: for all videos.
        folder: for the session; it must not exist.
        on_round: called after each round.

    Raises:
        UserError: if a file cannot be read, or does not fit the others.
    """
    truths = [video.truth(index) for index in range(len(video.masks))]
    numbers = tuple(sorted({number for truth in truths for number in object_numbers(truth)}))
    if not numbers:
        raise UserError(f"the true masks of {video.name} show no object, so there is none to find.")
    limit = None if options.object_seconds is None else options.object_seconds * len(numbers)
    if scribbles is None:
        frame, drawn = make_first_scribbles(video)
    else:
        frame, drawn = read_scribbles(scribbles, len(truths))
    rounds: list[Round] = []
    used: list[int] = []
    with VOSSession(
        video.open(), folder, makers[0], mask_maker=makers[1], short_side=options.short_side
    ) as session:
        if session.size != truths[0].shape:
            raise UserError(f"{video.masks[0]} does not have the size of its frame; mend it.")
        begin = time.monotonic()
        while len(rounds) < options.num_rounds:
            start = time.monotonic()
            end = None if limit is None else begin + limit
            if not _correct(session, frame, drawn, end):
                break  # what comes too late does not count
            seconds = time.monotonic() - start
            scores = _score(session, truths, numbers)
            rounds.append(Round(frame, seconds, _means(scores, numbers)))
            on_round()
            frame = choose_frame(scores, used)
            used.append(frame)
            drawn = draw_scribbles(_known(session, frame), truths[frame])
    return Sample(video.name, scribbles.stem if scribbles else ROBOT, numbers, tuple(rounds))


def _correct(
    session: VOSSession, frame: int, scribbles: Sequence[Scribble], end: float | None
) -> bool:
    """Correct the objects in a frame, and follow them from there.

    Args:
        session: of the video.
        frame: index of the frame.
        scribbles: in the frame.
        end: time of :func:`time.monotonic` at which it is too late; None for never.

    Returns:
        whether it was done in time.
    """
    touched = _choose_strokes(scribbles, _known(session, frame))
    picture = session.source.read(frame).picture
    for number, strokes in touched.items():
        session.add_strokes(frame, strokes, number, picture)
    if touched:
        for _ in session.propagate("around", start=frame, objects=list(touched)):
            if end is not None and time.monotonic() > end:
                return False
    return end is None or time.monotonic() <= end


def _choose_strokes(scribbles: Sequence[Scribble], known: np.ndarray) -> dict[int, list[Stroke]]:
    """Return the strokes for each object that scribbles say something new about, by its number.

    A scribble on one object says that no other one is there. This matters to an object that is
    there so far, or that is scribbled on itself.

    Args:
        scribbles: in a frame.
        known: what is known of the frame, an object map.
    """
    height, width = known.shape
    # The first and the last pixel of a row are at 0 and 1.
    paths = [each.path * (width - 1, height - 1) + 0.5 for each in scribbles]
    chosen = {}
    for number in sorted({*(each.number for each in scribbles), *object_numbers(known)} - {0}):
        strokes = [
            Stroke(tuple(map(tuple, path.tolist())), each.number == number, _RADIUS)
            for each, path in zip(scribbles, paths, strict=True)
        ]
        positive, negative = draw_strokes(strokes, known.shape)
        if positive.any() or (negative & (known == number)).any():
            chosen[number] = strokes
    return chosen


def _known(session: VOSSession, index: int) -> np.ndarray:
    object_map = session.object_map(index)
    return np.zeros(session.size, np.uint8) if object_map is None else object_map


def _score(session: VOSSession, truths: Sequence[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """Return J and F of all objects in all frames, float ``(T, K, 2)``."""
    return np.array(
        [score_frame(_known(session, index), truth, numbers) for index, truth in enumerate(truths)]
    )


def _means(scores: np.ndarray, numbers: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return the measures of each object over all frames."""
    means = scores.mean(0).tolist()
    return {
        number: {"J&F": (region + boundary) / 2, "J": region, "F": boundary}
        for number, (region, boundary) in zip(numbers, means, strict=True)
    }
