"""The session of video object segmentation: what is given, found, undone, and kept on the disk."""

import json
from contextlib import suppress

import numpy as np
import pytest
import torch

from tests.inference.vos.stub import SIZE, ColorEngine, overlap, truth, write_clip
from vps_d2.inference.vos import propagation
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def session(clip, tmp_path):
    with VOSSession(open_video(clip), tmp_path / "session", ColorEngine()) as session:
        yield session


def only(index, number):
    """The map of a frame with one of its objects."""
    return np.where(truth(index) == number, number, 0).astype(np.uint8)


def read_all(folder):
    files = (path for path in folder.rglob("*.png") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_object_is_followed_forward(session):
    assert session.add_mask(0, truth(0)) == [1]
    results = list(session.propagate())
    assert [result.frame_index for result in results] == list(range(11))
    assert results[0].scores == {1: 1.0} and 0 < results[5].scores[1] < 1
    for result in results:
        assert overlap(result.object_map, truth(result.frame_index), 1) > 0.9
        assert (session.object_map(result.frame_index) == result.object_map).all()
        assert session.scores(result.frame_index) == result.scores
    assert session.unfinished is None


def test_backward_visits_the_frames_in_descending_order(session, monkeypatch):
    monkeypatch.setattr(propagation, "_MAX_CHUNK", 3)
    session.add_mask(8, truth(8))
    assert [result.frame_index for result in session.propagate("backward", 2)] == [
        8,
        7,
        6,
        5,
        4,
        3,
        2,
    ]
    assert overlap(session.object_map(2), truth(2), 1) > 0.9
    assert session.object_map(1) is None and not session.is_finished(9)


def test_both_directions_follow_an_object_only_to_where_it_was_given(session):
    session.add_mask(0, truth(0))
    session.add_mask(5, only(5, 2))
    results = list(session.propagate("both"))
    assert [result.frame_index for result in results] == [*range(11), 5, 4, 3, 2, 1, 0]
    for index in range(3, 8):
        assert overlap(session.object_map(index), truth(index), 1) > 0.9
        assert overlap(session.object_map(index), truth(index), 2) > 0.9
    assert session.scores(10)[2] == 0  # it has left, and nothing is wrong with that
    # The engine is never asked for an object before it knows it, nor for one that is done.
    segmented = [call[1] for call in session.engine.calls if call[0] == "segment"]
    assert segmented == [*[[1]] * 5, *[[1, 2]] * 5, *[[2]] * 4, [1, 2]]


def test_what_was_given_is_never_overwritten(session):
    session.add_mask(0, truth(0))
    mine = np.zeros(SIZE, np.uint8)
    mine[:5, :5] = 1
    session.add_mask(4, mine)
    list(session.propagate())
    assert (session.object_map(4) == mine).all() and session.scores(4) == {1: 1.0}
    session.add_mask(6, np.zeros(SIZE, bool), 1)  # it is not visible there
    assert not session.object_map(6).any()
    session.add_mask(6, truth(6) == 2, 2)
    assert set(np.unique(session.object_map(6))) == {0, 2}
    list(session.propagate("backward"))
    assert ((session.object_map(4) == 1) == mine).all()  # there, nothing was said about object 2
    assert set(np.unique(session.object_map(6))) == {0, 2}


def test_an_object_is_not_asked_for_before_it_was_seen(session):
    session.add_mask(0, truth(0))
    session.add_mask(2, np.zeros(SIZE, bool), 2)  # it is not there yet
    session.add_mask(5, only(5, 2))
    list(session.propagate())
    segmented = [call[1] for call in session.engine.calls if call[0] == "segment"]
    assert segmented == [*[[1]] * 5, *[[1, 2]] * 5]
    assert overlap(session.object_map(6), truth(6), 2) > 0.9


def test_only_the_objects_asked_for_are_changed(session):
    session.add_mask(5, truth(5))
    list(session.propagate(objects=[1]))
    assert set(np.unique(session.object_map(6))) == {0, 1}
    before = session.object_map(6) == 1
    list(session.propagate(objects=[2]))
    assert ((session.object_map(6) == 1) == before).all()
    assert overlap(session.object_map(6), truth(6), 2) > 0.9


def test_masks_keep_the_size_of_the_video(clip, tmp_path):
    engine = ColorEngine()
    with VOSSession(open_video(clip), tmp_path, engine, short_side=24) as session:
        session.add_mask(0, truth(0))
        seen = []
        engine.segment_ = engine.segment
        engine.segment = lambda picture, objects: (
            seen.append(picture.shape) or engine.segment_(picture, objects)
        )
        for result in session.propagate():
            assert result.object_map.shape == SIZE
            assert overlap(result.object_map, truth(result.frame_index), 1) > 0.8
    assert set(seen) == {(24, 32, 3)}


def test_objects_are_added_named_and_removed(session):
    assert session.add_object("dog") == 1
    assert session.add_mask(5, truth(5) == 2) == [2]
    session.add_object("cat", 2)
    assert session.objects == {1: "dog", 2: "cat"}
    list(session.propagate())
    session.remove_object(2)
    assert session.objects == {1: "dog"} and not session.given
    assert not session.object_map(6).any() and session.scores(6) == {}
    assert session.add_mask(6, truth(6) == 2) == [2]  # the number is free again
    assert not session.object_map(7).any()
    with pytest.raises(UserError, match="there is no object 7; the objects are 1, 2"):
        session.remove_object(7)


def test_clear(session):
    session.add_mask(5, truth(5))
    list(session.propagate())
    session.clear(5, 8, [1])
    assert set(np.unique(session.object_map(5))) == {0, 2} == set(np.unique(session.object_map(7)))
    assert set(np.unique(session.object_map(8))) == {0, 1}
    session.clear(5, 8)
    assert session.object_map(5) is None and session.object_map(7) is None
    assert session.object_map(8) is not None and not session.given
    session.undo()
    session.undo()
    assert set(np.unique(session.object_map(5))) == {0, 1, 2}


def test_undo_and_redo(session):
    session.add_mask(0, truth(0))
    list(session.propagate())
    session.add_mask(5, only(5, 2))
    list(session.propagate("forward", 5))
    last = session.object_map(6)
    assert session.undo() and not (session.object_map(6) == 2).any()
    assert session.redo() and (session.object_map(6) == last).all() and not session.redo()
    for _ in range(4):
        assert session.undo()
    assert not session.undo() and session.object_map(0) is None and session.objects == {}
    session.add_mask(0, truth(0))
    assert not session.redo()
    assert len(read_all(session.folder)) == 1  # what cannot be redone is gone


def test_a_session_opens_again_as_it_was(clip, tmp_path):
    with VOSSession(open_video(clip), tmp_path / "a", ColorEngine()) as session:
        session.add_mask(0, truth(0))
        session.add_object("dog", 1)
        run = session.propagate()
        for _ in range(4):
            next(run)
        session.save(tmp_path / "copy")
        with pytest.raises(UserError, match="is being written by another run"):
            VOSSession(open_video(clip), tmp_path / "a")
    log = tmp_path / "a/actions.jsonl"
    log.write_bytes(log.read_bytes() + b'{"id": 4, "do": "rem')  # killed while it wrote
    (tmp_path / "a/frames/000003/.vps_d2-000004.png-0123.tmp").write_bytes(b"half a frame")
    for folder in (tmp_path / "a", tmp_path / "copy"):
        with VOSSession.load(folder) as session:
            assert session.objects == {1: "dog"} and session.given == {0: [1]}
            assert [session.is_finished(index) for index in range(5)] == [True] * 4 + [False]
            with pytest.raises(UserError, match="has no engine"):
                session.propagate()
            assert session.add_object() == 2
            assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(("fail_at", "has_state"), [(4, True), (12, True), (12, False)])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(
    clip, tmp_path, monkeypatch, fail_at, has_state
):
    monkeypatch.setattr(propagation, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(propagation, "_PAUSE", 0)

    def start(folder, engine):
        with VOSSession(open_video(clip), folder, engine) as session:
            session.add_mask(0, truth(0))
            session.add_mask(5, only(5, 2))
            list(session.propagate("both"))

    start(tmp_path / "whole", ColorEngine())
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "cut", ColorEngine(fail_at, has_state))
    engine = ColorEngine(has_state=has_state)
    with VOSSession.load(tmp_path / "cut", engine) as session:
        assert session.unfinished is not None
        count = len(list(session.resume()))
        assert session.unfinished is None
    assert (count < 17) == has_state
    assert read_all(tmp_path / "cut") == read_all(tmp_path / "whole")
    assert not list((tmp_path / "cut").rglob("state.pt"))


@pytest.mark.parametrize("damage", ["bytes", "part", "index", "seen", "permanent", "engine"])
def test_with_a_damaged_state_all_frames_are_done_again(
    clip, tmp_path, monkeypatch, caplog, damage
):
    monkeypatch.setattr(propagation, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(propagation, "_PAUSE", 0)
    for name, fail_at in (("whole", None), ("cut", 6)):
        with VOSSession(open_video(clip), tmp_path / name, ColorEngine(fail_at)) as session:
            session.add_mask(0, truth(0))
            with suppress(KeyboardInterrupt):
                list(session.propagate())
    (path,) = (tmp_path / "cut").rglob("state.pt")
    state = torch.load(path, weights_only=True)
    wrong = {"part": 1, "index": -1, "seen": ["x"], "permanent": 4, "engine": {"kept": 3}}
    torch.save({**state, **{key: wrong[key] for key in wrong if key == damage}}, path)
    if damage == "bytes":
        path.write_bytes(b"no state")
    with VOSSession.load(tmp_path / "cut", ColorEngine()) as session:
        assert len(list(session.resume())) == 11
    assert "so all frames are done again" in caplog.text
    assert read_all(tmp_path / "cut") == read_all(tmp_path / "whole")


def test_what_may_be_none_may_be_missing_in_the_log(session):
    session.add_mask(0, truth(0))
    next(session.propagate())
    log = session.folder / "actions.jsonl"
    assert b', "short_side": null' in log.read_bytes()
    log.write_bytes(log.read_bytes().replace(b', "short_side": null', b""))
    session.close()
    with VOSSession.load(session.folder, ColorEngine()) as again:
        assert len(list(again.resume())) == 11


def test_a_propagation_ends_when_something_else_is_done(session):
    session.add_mask(0, truth(0))
    run = session.propagate()
    next(run)
    session.remove_object(1)
    assert list(run) == [] and session.unfinished is None
    with pytest.raises(UserError, match="has no interrupted propagation"):
        session.resume()


def test_a_run_goes_on_only_with_the_same_engine(session):
    session.add_mask(0, truth(0))
    next(session.propagate())
    session.short_side = 20
    with pytest.raises(UserError, match="by another engine or at another size"):
        session.resume()


@pytest.mark.parametrize(
    ("mask", "frame", "message"),
    [
        (np.ones((64, 48), np.uint8), 0, "the mask has 48 x 64 pixels, but the video has 64 x 48"),
        (np.ones((*SIZE, 3), np.uint8), 0, r"the mask has shape \(48, 64, 3\), but"),
        (np.zeros(SIZE, np.uint8), 0, "the mask is empty"),
        (np.ones(SIZE, np.uint8), 11, "frame index 11 is not in .*, which has 11"),
    ],
)
def test_wrong_masks_are_a_sentence(session, mask, frame, message):
    with pytest.raises(UserError, match=message):
        session.add_mask(frame, mask)
    assert not session.objects and not read_all(session.folder)


def test_there_is_nothing_to_propagate(session):
    with pytest.raises(UserError, match="no object has a mask from frame 0 on"):
        session.propagate()
    session.add_mask(5, truth(5))
    with pytest.raises(UserError, match="no object has a mask in frames 6 to 8"):
        session.propagate("forward", 6, 9)
    with pytest.raises(UserError, match="are no range"):
        session.propagate("forward", 6, 6)
    assert len((session.folder / "actions.jsonl").read_text().splitlines()) == 1


def test_folders_of_something_else(clip, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/to_mum.txt").write_text("Dear")
    with pytest.raises(UserError, match="holds something that is no session"):
        VOSSession(open_video(clip), tmp_path / "letters")
    other = write_clip(tmp_path / "other.mp4", 3)
    session = VOSSession(open_video(clip), tmp_path / "session")
    with pytest.raises(UserError, match="holds something that is no session"):
        session.save(tmp_path / "letters")
    session.close()
    with pytest.raises(UserError, match="holds a session of another video"):
        VOSSession(open_video(other), tmp_path / "session")
    action = {"id": 1, "do": "remove_object", "object": 1}
    (tmp_path / "session/actions.jsonl").write_text(json.dumps(action) + "\n")
    with pytest.raises(UserError, match="actions that do not belong together"):
        VOSSession(open_video(clip), tmp_path / "session")
    (tmp_path / "session/actions.jsonl").write_text('{"id": 1, "do": "masks"}\n')
    with pytest.raises(UserError, match="damaged in line 1"):
        VOSSession(open_video(clip), tmp_path / "session")


def test_what_is_undone_before_it_began_finds_nothing(session):
    session.add_mask(0, truth(0))
    results = session.propagate()
    session.undo()
    assert list(results) == [] and session.known_frames == [0]
    session.redo()
    assert session.unfinished is not None
