"""Strokes in a session: what they make, what is kept of them, and what is followed from there."""

import threading

import numpy as np
import pytest

from tests.inference.vos.stub import SIZE, ColorEngine, overlap, truth, write_clip
from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video


class ColorMaker(MaskMaker):
    """The object is all that has the color of a positive stroke, less the negative strokes."""

    source = "colors"

    def __init__(self):
        self.asked = []

    def make_mask(self, picture, mask, strokes):
        self.asked.append((mask.copy(), list(strokes)))
        positive, negative = draw_strokes(strokes, mask.shape)
        colors = picture[positive].astype(int)
        if not len(colors):
            return mask & ~negative
        far = np.abs(picture.astype(int) - np.median(colors, axis=0)).sum(-1)
        return (far < 60) & ~negative


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def session(clip, tmp_path):
    with VOSSession(
        open_video(clip), tmp_path / "session", ColorEngine(), mask_maker=ColorMaker()
    ) as session:
        yield session


def click(x, y, **values):
    return Stroke(((x, y),), radius=2, tool="click", **values)


ON_RED = click(8, 16)


def test_a_click_makes_an_object_and_the_next_one_corrects_it(session):
    assert session.add_strokes(0, [ON_RED]) == 1
    assert overlap(session.object_map(0), truth(0), 1) > 0.9
    less = click(12, 20, positive=False)
    assert session.add_strokes(0, [less], 1) == 1
    assert session.object_map(0)[20, 12] == 0
    mask, strokes = session.mask_maker.asked[-1]
    assert strokes == [ON_RED, less] and mask[20, 12]
    assert session.strokes(0, 1) == [ON_RED, less] and session.strokes(1, 1) == []


def test_strokes_are_kept_undone_and_forgotten_with_their_mask(session, clip):
    session.add_strokes(0, [ON_RED])
    session.add_strokes(0, [click(12, 20, positive=False)], 1)
    session.undo()
    assert session.strokes(0, 1) == [ON_RED] and session.object_map(0)[20, 12] == 1
    folder = session.folder
    session.close()
    with VOSSession(open_video(clip), folder) as again:
        assert again.strokes(0, 1) == [ON_RED]
        again.add_mask(0, truth(0) == 1, 1)
        assert again.strokes(0, 1) == []
        again.undo()
        again.clear(0, 1)
        assert again.strokes(0, 1) == []


def test_brush_and_eraser_need_nothing_that_makes_masks(session):
    session.mask_maker = None
    brush = Stroke(((20, 20), (30, 20)), radius=3, tool="paint")
    number = session.add_strokes(2, [brush])
    eraser = Stroke(((30, 20),), positive=False, radius=3, tool="paint")
    session.add_strokes(2, [eraser], number)
    positive, _ = draw_strokes([brush], SIZE)
    _, negative = draw_strokes([eraser], SIZE)
    assert ((session.object_map(2) == number) == (positive & ~negative)).all()
    with pytest.raises(UserError, match="paint the mask"):
        session.add_strokes(2, [ON_RED], number)


def test_the_strokes_of_the_brush_are_no_hints(session):
    session.add_strokes(0, [ON_RED])
    session.add_strokes(0, [Stroke(((40, 40),), tool="paint")], 1)
    session.add_strokes(0, [click(12, 20)], 1)
    assert [stroke.tool for stroke in session.mask_maker.asked[-1][1]] == ["click", "click"]
    assert [stroke.tool for stroke in session.strokes(0, 1)] == ["click", "paint", "click"]


def test_strokes_that_mark_nothing_make_no_object(session):
    for strokes in ([], [click(30, 40, positive=False)]):
        with pytest.raises(UserError):
            session.add_strokes(0, strokes)
    assert session.objects == {} and not session.undo()
    with pytest.raises(UserError):
        session.add_strokes(99, [ON_RED])


def test_around_a_frame_goes_up_to_those_that_were_given(session):
    for index in (0, 8):
        session.add_mask(index, truth(index) == 1, 1)
    list(session.propagate("both"))
    session.add_mask(5, truth(5) == 1, 1)
    session.add_mask(6, truth(6) == 2)  # another object, which does not stop the first one
    found = [result.frame_index for result in session.propagate("around", 5)]
    assert found == [5, 6, 7, 5, 4, 3, 2, 1]
    assert overlap(session.object_map(6), truth(6), 2) == 1
    found = [result.frame_index for result in session.propagate("around", 6)]
    assert found == [*range(6, 11), *range(6, -1, -1)]
    for index in (4, 7):
        assert overlap(session.object_map(index), truth(index), 1) > 0.9
        assert overlap(session.object_map(index), truth(index), 2) > 0.9
    with pytest.raises(UserError, match="frame 7"):
        session.propagate("around", 7)


def test_a_propagation_around_a_frame_is_resumed(session):
    session.add_mask(5, truth(5))
    running = session.propagate("around", 5, 9)
    for _ in range(6):
        next(running)
    running.close()
    assert session.unfinished
    found = [result.frame_index for result in session.resume()]
    assert found[-1] == 0 and session.known_frames == list(range(9))


def test_a_mask_that_is_given_meanwhile_holds_and_stops_nothing(session):
    session.add_mask(0, truth(0))
    running = session.propagate()
    next(running)
    drawn = np.zeros(SIZE, np.uint8)
    drawn[:5, :5] = 1
    session.add_mask(4, drawn)
    session.add_object("late")
    assert [result.frame_index for result in running] == list(range(1, 11))
    assert (session.object_map(4) == drawn).all() and session.is_propagated is False
    running = session.propagate()
    next(running)
    session.clear(8, 9)
    assert list(running) == []


def test_a_propagation_in_another_thread_waits_for_the_lock(session):
    session.add_mask(0, truth(0))
    running, found = session.propagate(), []
    thread = threading.Thread(target=lambda: found.extend(running))
    with session.lock:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and not found
    thread.join(10)
    assert len(found) == 11
