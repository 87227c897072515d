"""Fusion of masks before and after a correction: when a session asks for it, and what it gets."""

from unittest import mock

import numpy as np
import pytest

from tests.inference.vos.stub import SIZE, ColorEngine, overlap, truth, write_clip
from vps_d2.inference.vos import propagation
from vps_d2.inference.vos.engines import EngineOptions
from vps_d2.inference.vos.fuser import FrameFuser
from vps_d2.inference.vos.session import VOSSession
from vps_d2.inference.vos.stcn import STCNEngine, make_small_engine
from vps_d2.io.video import open_video


class KeepingFuser(FrameFuser):
    """Keeps the earlier masks of all objects that it may fuse."""

    def __init__(self):
        self.begun, self.asked = [], []

    def begin(self, picture, before, after):
        self.begun.append((picture.copy(), before.copy(), after.copy()))

    def fuse(self, picture, objects, old, new, distances, fused):
        self.asked.append((list(objects), list(fused), distances))
        kept = new.copy()
        for place, number in enumerate(objects, 1):
            if number in fused:
                kept[place] = old == number
        kept[0] = 1 - kept[1:].max(0)
        return kept

    def fingerprint(self):
        return "keep"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def start(clip, folder, engine=None):
    engine = engine or ColorEngine()
    engine.fuser = KeepingFuser()
    return VOSSession(open_video(clip), folder, engine)


def only(index, number):
    return np.where(truth(index) == number, number, 0).astype(np.uint8)


def wrong():
    """A map that is nowhere near the red square after frame 0."""
    made = np.zeros(SIZE, np.uint8)
    made[40:, :12] = 1
    return made


def test_frames_between_two_given_ones_are_fused_and_no_others(clip, tmp_path):
    with start(clip, tmp_path / "session") as session:
        fuser = session.engine.fuser
        session.add_mask(0, only(0, 1))
        list(session.propagate("around", 0))
        assert not fuser.begun and not fuser.asked  # nothing is known from before
        earlier = {index: session.object_map(index) for index in range(11)}
        session.add_mask(6, wrong())
        list(session.propagate("around", 6))
        # The part after frame 6 ends where the video does, so the new masks hold there.
        assert [each[2] for each in fuser.asked] == [
            pytest.approx((index / 6, (6 - index) / 6)) for index in range(5, 0, -1)
        ]
        for index in range(1, 6):
            assert (session.object_map(index) == earlier[index]).all()
        (_, before, after) = fuser.begun[0]
        assert len(fuser.begun) == 1
        assert (before == earlier[6]).all() and (after == wrong()).all()
        assert (session.object_map(6) == wrong()).all()
        assert (session.object_map(7) != earlier[7]).any()


def test_forward_up_to_a_later_frame(clip, tmp_path):
    with start(clip, tmp_path / "session") as session:
        session.add_mask(9, only(9, 1))
        list(session.propagate("around", 9))
        session.add_mask(2, only(2, 1))
        list(session.propagate("around", 2, end=6))
        assert not session.engine.fuser.asked  # the range ends before the other frame
        list(session.propagate("around", 2))
        asked = [each[2] for each in session.engine.fuser.asked]
        assert asked == [pytest.approx(((9 - i) / 7, (i - 2) / 7)) for i in range(3, 9)]


def test_an_object_that_the_earlier_pass_did_not_follow_is_not_fused(clip, tmp_path):
    with start(clip, tmp_path / "session") as session:
        session.add_mask(0, only(0, 1), absent=[2])
        list(session.propagate("around", 0, objects=[1]))
        session.add_mask(7, truth(7))
        list(session.propagate("around", 7))
        assert {tuple(each[0]) for each in session.engine.fuser.asked} == {(1, 2)}
        assert {tuple(each[1]) for each in session.engine.fuser.asked} == {(1,)}
        assert overlap(session.object_map(5), truth(5), 2) > 0.9


def test_other_propagations_and_engines_without_a_fuser_do_as_before(clip, tmp_path):
    with start(clip, tmp_path / "session") as session:
        session.add_mask(0, only(0, 1))
        list(session.propagate("around", 0))
        session.add_mask(6, wrong())
        list(session.propagate("forward"))
        assert not session.engine.fuser.begun
        session.undo()
        session.engine.fuser = None
        list(session.propagate("around", 6))
        assert session.is_propagated


def test_a_killed_fusion_goes_on_with_the_same_correction(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(propagation, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(propagation, "_PAUSE", 0)

    def run(folder, engine):
        with start(clip, folder, engine) as session:
            session.add_mask(0, only(0, 1))
            list(session.propagate("around", 0))
            session.add_mask(8, wrong())
            list(session.propagate("around", 8))

    run(tmp_path / "whole", ColorEngine())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", ColorEngine(fail_at=10 + 2 + 4))
    with start(clip, tmp_path / "cut") as session:
        fuser = session.engine.fuser
        list(session.resume())
        assert (fuser.begun[0][2] == wrong()).all()
        assert len(fuser.asked) == 4
        with VOSSession.load(tmp_path / "whole") as whole:
            for index in range(11):
                assert (session.object_map(index) == whole.object_map(index)).all()


@pytest.fixture(scope="module")
def engine() -> STCNEngine:
    return make_small_engine(EngineOptions(device="cpu"))


def drive(engine, length=6):
    """Give two frames, and segment what is between them; return pictures and new masks."""
    from tests.modeling.vos.made import make_clip

    frames, first = make_clip(length, 48, 64)
    engine.reset()
    engine.remember(frames[0], first, permanent=True)
    engine.remember(frames[-1], np.roll(first, 2 * length - 2, 1), permanent=True)
    return frames, first


def test_the_fuser_of_the_small_engine_encodes_no_picture_again(engine):
    frames, first = drive(engine)
    last = np.roll(first, 10, 1)
    network = engine.video.network
    with mock.patch.object(network, "encode_key", wraps=network.encode_key) as encode:
        engine.fuser.begin(frames[-1], first, last)
        new = engine.segment(frames[-2], [2, 1])
        old = np.roll(first, 8, 1)
        found = engine.fuser.fuse(frames[-2], [2, 1], old, new, (0.8, 0.2), [1, 2])
        assert encode.call_count == 1
    assert found.shape == (3, 48, 64) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    assert not np.array_equal(found, new)
    alone = engine.fuser.fuse(frames[-2], [2, 1], old, new, (0.8, 0.2), [1])
    # Of object 2, the new mask holds; object 1 is fused as before.
    assert np.abs(alone[1] - new[1]).max() < np.abs(found[1] - new[1]).max()


def test_a_picture_that_is_no_longer_the_last_one_changes_nothing(engine):
    frames, first = drive(engine)
    expected = engine.segment(frames[-2], [1, 2])
    drive(engine)
    engine.fuser.begin(frames[2], first, first)  # as a run does that goes on
    np.testing.assert_array_equal(engine.segment(frames[-2], [1, 2]), expected)


def test_fusion_can_be_switched_off(engine):
    off = make_small_engine(EngineOptions(device="cpu", opts=("MODEL.VOS.FUSER", "")))
    assert off.fuser is None and off.fingerprint() != engine.fingerprint()
    fuser, engine.fuser = engine.fuser, None
    assert off.fingerprint() == engine.fingerprint()
    engine.fuser = fuser
