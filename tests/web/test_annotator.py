"""What the page can do, from many threads: jobs, clicks between their frames, and two tabs."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference.vos.stub import ColorEngine, overlap, truth
from tests.web.stub import ColorMaker, SlowEngine, opened, wait_until
from tests.web.test_transfer import packed, png
from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.session import VOSSession
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.web.annotator import Annotator, open_session
from vps_d2.web.jobs import BusyError, CancelledError, Gate, Job, Jobs
from vps_d2.web.transfer import Upload
from vps_d2.web.view import MissingError

RED = [Stroke(((5.5, 15.5),), tool="click")]
GREEN_AT_4 = [Stroke(((8.5, 35.5),), tool="click")]
PAINT = [Stroke(((20, 20), (25, 20)), radius=3, tool="paint")]


def wait(annotator: Annotator) -> dict[str, Any]:
    wait_until(lambda: annotator.state()["job"]["state"] != "running")
    job: dict[str, Any] = annotator.state()["job"]
    return job


def runs(annotator: Annotator, number: int) -> list[Any]:
    found: list[Any] = annotator.rows()["objects"][str(number)]["runs"]
    return found


def test_a_click_is_answered_between_two_frames(clip: Path, tmp_path: Path) -> None:
    engine = SlowEngine()
    with opened(clip, tmp_path, engine) as annotator:
        annotator.add_strokes(0, RED, None)
        job = annotator.propagate("forward", 0, None, None)
        engine.may_go.release(2)
        wait_until(lambda: job.done == 3)
        # The next frame waits for the engine, with the lock; the click comes after it, and the
        # frame after that only then.
        number = []
        click = threading.Thread(
            target=lambda: number.append(annotator.add_strokes(4, GREEN_AT_4, None))
        )
        click.start()
        wait_until(lambda: annotator._network._work_queue.qsize() == 1)
        engine.may_go.release()
        click.join()
        assert number == [2] and job.done == 4 and job.state == "running"
        assert annotator.rows()["objects"]["2"] == {"touched": [4], "runs": []}
        engine.may_go.release(20)
        assert wait(annotator) == {
            **{"id": 1, "kind": "propagate", "done": 11, "total": 11, "frame": 10},
            **{"state": "finished", "message": ""},
        }
        assert runs(annotator, 1) == [(1, 11, "propagated")]
        assert overlap(annotator.session.object_map(4), truth(4), 2) > 0.9


def test_what_only_looks_waits_for_nobody(clip: Path, tmp_path: Path) -> None:
    with opened(clip, tmp_path) as annotator:
        annotator.add_strokes(0, RED, None)
        held = threading.Event()

        def hold() -> None:
            with annotator.session.lock:
                held.set()
                time.sleep(0.5)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        start = time.monotonic()
        assert annotator.state()["objects"] and annotator.rows() and annotator.mask(0)
        assert annotator.strokes(0)["1"] and annotator.frame(3)
        assert time.monotonic() - start < 0.4
        thread.join()


def test_whoever_waits_goes_before_a_job() -> None:
    gate, order = Gate(threading.RLock()), []

    def enter(way: Any, name: str) -> None:
        with way():
            order.append(name)

    with gate.first():
        job = threading.Thread(target=enter, args=(gate.last, "job"))
        job.start()
        time.sleep(0.05)
        click = threading.Thread(target=enter, args=(gate.first, "click"))
        click.start()
        wait_until(lambda: gate._waiting == 2)
    click.join()
    job.join()
    assert order == ["click", "job"]


def test_a_propagation_is_cancelled_and_resumed(clip: Path, tmp_path: Path) -> None:
    engine = SlowEngine()
    with opened(clip, tmp_path, engine) as annotator:
        annotator.add_strokes(0, RED, None)
        job = annotator.propagate("forward", 0, 8, None)
        engine.may_go.release(3)
        wait_until(lambda: job.done == 4)
        assert annotator.state()["unfinished"] is None  # it runs
        annotator.cancel()
        engine.may_go.release()
        assert wait(annotator)["state"] == "cancelled" and job.message == ""
        assert runs(annotator, 1) == [(1, 5, "propagated")]
        assert annotator.state()["unfinished"] == {"direction": "forward", "start": 0, "end": 8}
        engine.may_go.release(20)
        assert annotator.resume().total == 8
        assert wait(annotator)["state"] == "finished"
        assert runs(annotator, 1) == [(1, 8, "propagated")]
        assert annotator.state()["unfinished"] is None
        with pytest.raises(UserError, match="no interrupted propagation"):
            annotator.resume()


def test_undoing_what_a_propagation_began_with_ends_it(clip: Path, tmp_path: Path) -> None:
    engine = SlowEngine()
    with opened(clip, tmp_path, engine) as annotator:
        annotator.add_strokes(0, RED, None)
        job = annotator.propagate("forward", 0, None, None)
        engine.may_go.release(2)
        wait_until(lambda: job.done == 3)
        undone = threading.Thread(target=annotator.turn, args=("undo",))
        undone.start()
        wait_until(lambda: annotator._gate._waiting == 1)
        engine.may_go.release()
        undone.join()
        assert wait(annotator)["state"] == "cancelled" and "was changed" in job.message
        assert runs(annotator, 1) == [] and annotator.state()["can_redo"]
        annotator.turn("redo")
        assert runs(annotator, 1) == [(1, 4, "propagated")]


def test_only_one_job_runs(clip: Path, tmp_path: Path) -> None:
    engine = SlowEngine()
    with opened(clip, tmp_path, engine) as annotator:
        annotator.add_strokes(0, RED, None)
        annotator.propagate("forward", 0, None, None)
        for begin in (
            lambda: annotator.propagate("forward", 0, None, None),
            lambda: annotator.export("coco"),
            lambda: annotator.import_masks(Upload(io.BytesIO(b""))),
            annotator.resume,
            annotator.check_free,
        ):
            with pytest.raises(BusyError, match="a propagation is running; wait, or cancel it"):
                begin()
        assert len(annotator.session.maps.state.passes) == 1
        engine.may_go.release(20)


@pytest.mark.parametrize("kind", ["import", "export"])
def test_changes_that_would_spoil_a_job_are_refused(annotator: Annotator, kind: str) -> None:
    annotator.add_strokes(0, RED, None)
    end = threading.Event()
    annotator._jobs.start(kind, lambda job: str(end.wait(10)))
    changes = [
        lambda: annotator.turn("undo"),
        lambda: annotator.clear(0, None, None),
        lambda: annotator.remove_object(1),
    ]
    if kind == "import":
        changes += [lambda: annotator.add_strokes(0, RED, 1), lambda: annotator.add_object("x")]
    for change in changes:
        with pytest.raises(BusyError, match=f"wait for the {kind} that is running"):
            change()
    if kind == "export":
        annotator.add_strokes(1, PAINT, 1)
    end.set()


def test_masks_are_imported_and_exported(annotator: Annotator) -> None:
    data = packed({f"{index:06d}.png": png(truth(index)) for index in range(11)})
    file = io.BytesIO(data)
    annotator.import_masks(Upload(file))
    assert wait(annotator)["message"] == "masks of 2 objects were imported." and file.closed
    assert annotator.rows()["objects"]["1"]["touched"] == list(range(11))
    annotator.export("dataset")
    assert wait(annotator)["state"] == "finished"
    (export,) = annotator.state()["exports"]
    assert (export["id"], export["name"]) == ("dataset", "clip_dataset.zip") and export["bytes"]


def test_a_job_that_fails_says_so_and_ends_nothing_else(clip: Path, tmp_path: Path) -> None:
    class Broken(ColorEngine):
        def segment(self, picture, objects):
            raise RuntimeError("no memory")

    with opened(clip, tmp_path, Broken()) as annotator:
        annotator.add_strokes(0, RED, None)
        annotator.propagate("forward", 0, None, None)
        assert wait(annotator)["state"] == "failed"
        assert annotator.state()["job"]["message"].endswith("(RuntimeError); see the terminal.")
        annotator.import_masks(Upload(io.BytesIO(b"{}")))
        assert "has neither images" in wait(annotator)["message"]
        annotator.add_strokes(1, PAINT, 1)


def test_clicks_wait_for_the_network_and_the_brush_does_not(clip: Path, tmp_path: Path) -> None:
    annotator = Annotator(open_session(clip, tmp_path, tmp_path))
    try:
        assert annotator.state()["engine"] is None
        assert annotator.add_strokes(0, PAINT, None) == 1
        click = threading.Thread(target=annotator.add_strokes, args=(0, RED, None))
        click.start()
        time.sleep(0.05)
        assert click.is_alive() and len(annotator.session.objects) == 1
        annotator.use_engine(ColorEngine(), ColorMaker(), None)
        click.join(5)
        assert len(annotator.session.objects) == 2
    finally:
        annotator.close()
    for change in (lambda: annotator.add_object("x"), lambda: annotator.add_strokes(0, PAINT, 1)):
        with pytest.raises(BusyError, match="being stopped"):
            change()


def test_what_another_tab_removed_is_not_made_again(annotator: Annotator) -> None:
    annotator.add_strokes(0, RED, None)
    annotator.remove_object(1)
    for change in (
        lambda: annotator.add_strokes(0, RED, 1),
        lambda: annotator.rename_object(1, "x"),
        lambda: annotator.remove_object(1),
        lambda: annotator.clear(0, None, [1]),
        lambda: annotator.propagate("forward", 0, None, [1]),
    ):
        with pytest.raises(MissingError, match="there is no object 1 any more"):
            change()
    assert annotator.state()["job"] is None


def test_many_tabs_do_not_spoil_a_session(clip: Path, tmp_path: Path) -> None:
    numbers: list[int] = []

    def work(annotator: Annotator, index: int) -> None:
        for count in range(5):
            x = 3 + 5 * count
            numbers.append(annotator.add_strokes(index, [Stroke(((x, 5),), tool="paint")], None))
            annotator.state(), annotator.rows(), annotator.mask(index)
        annotator.turn("undo")

    with opened(clip, tmp_path) as annotator:
        before = annotator.revision
        tabs = [threading.Thread(target=work, args=(annotator, index)) for index in range(4)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert annotator.revision == before + 24 and len(numbers) == 20
        objects, given = annotator.session.objects, annotator.session.given
        assert len(objects) == 16
    with VOSSession(open_video(clip), tmp_path) as session:
        assert (session.objects, session.given) == (objects, given)
        for index in given:
            assert set(np.unique(session.object_map(index))) >= set(given[index])


def test_the_timeline_is_read_when_a_session_is_opened_again(clip: Path, tmp_path: Path) -> None:
    with opened(clip, tmp_path) as annotator:
        annotator.add_strokes(0, RED, None)
        annotator.propagate("forward", 0, None, None)
        wait(annotator)
        rows = annotator.rows()
    with opened(clip, tmp_path) as annotator:
        wait_until(lambda: annotator.rows() == rows)
        assert annotator.rows()["frames"] == 11


def test_a_session_is_opened_by_its_folder_alone(clip: Path, tmp_path: Path) -> None:
    taken = pytest.raises(UserError, match="is being written by another run")
    with opened(clip, tmp_path / "one"), taken:
        open_session(None, tmp_path / "one", tmp_path)
    open_session(None, tmp_path / "one", tmp_path).close()
    with pytest.raises(UserError, match="holds no session; name the video"):
        open_session(None, tmp_path, tmp_path)
    with open_session(clip, None, tmp_path / "out") as session:
        assert session.folder == tmp_path / "out/clip"


def test_listeners_hear_of_every_change(annotator: Annotator) -> None:
    heard: list[int] = []
    stop = annotator.listen(lambda: heard.append(annotator.revision))
    annotator.add_object("dog")
    annotator.rename_object(1, "cat")
    assert heard == [annotator.revision - 1, annotator.revision]
    stop()
    annotator.turn("undo")
    assert len(heard) == 2


def test_a_job_ends_when_it_is_told_to() -> None:
    jobs = Jobs(lambda: None)

    def run(job: Job) -> str:
        while True:
            job.check()
            time.sleep(0.001)

    job = jobs.start("export", run)
    assert jobs.running is job
    jobs.cancel(wait=5)
    assert (job.state, jobs.running) == ("cancelled", None)

    def stop(job: Job) -> str:
        raise CancelledError("because.")

    jobs.start("import", stop)
    wait_until(lambda: jobs.running is None)
    assert jobs.last is not None and (jobs.last.state, jobs.last.message) == (
        "cancelled",
        "because.",
    )
