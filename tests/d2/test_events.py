import json
import logging
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.d2.engine import engine_module
from vps_d2.d2.utils.events import EventStorage, get_event_storage

events = engine_module("utils.events")


def test_storage_is_that_of_the_innermost_block() -> None:
    with pytest.raises(AssertionError):
        get_event_storage()
    with EventStorage() as outer, EventStorage(5) as inner:
        assert get_event_storage() is inner and inner.iter == 5
        assert outer.iter == 0
    with pytest.raises(AssertionError):
        get_event_storage()


def test_scalars_keep_their_history() -> None:
    storage = EventStorage(10)
    for value in (3.0, 1.0, 2.0):
        storage.put_scalar("loss", torch.tensor(value))
        storage.put_scalars(lr=value, smoothing_hint=False)
        storage.step()
    assert storage.iter == 13
    assert storage.latest() == {"loss": (2.0, 12), "lr": (2.0, 12)}
    assert storage.history("loss").values() == [(3.0, 10), (1.0, 11), (2.0, 12)]
    assert set(storage.histories()) == {"loss", "lr"}
    storage.put_scalar("loss", 7.0, cur_iter=40)
    assert storage.latest()["loss"] == (7.0, 40)
    assert storage.count_samples("loss", 20) == 1
    assert storage.count_samples("lr", 2) == 2
    with pytest.raises(KeyError):
        storage.history("accuracy")


def test_noisy_scalars_are_smoothed() -> None:
    storage = EventStorage()
    for storage.iter, value in enumerate((1.0, 100.0, 2.0)):
        storage.put_scalar("loss", value)
        storage.put_scalar("lr", value, smoothing_hint=False)
    assert storage.latest_with_smoothing_hint(20) == {"loss": (2.0, 2), "lr": (2.0, 2)}
    assert storage.latest_with_smoothing_hint(2)["loss"] == (51.0, 2)
    with pytest.raises(AssertionError):
        storage.put_scalar("lr", 1.0)


def test_json_has_a_line_for_each_iteration_and_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    for start in (0, 4):
        writer = events.JSONWriter(str(path))
        with EventStorage(start) as storage:
            for value in (1.0, 2.0):
                storage.put_scalars(loss=value, smoothing_hint=False)
                storage.step()
            storage.put_scalar("score", 9, cur_iter=start)
            writer.write()
            writer.write()
        writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(lines, key=lambda line: line["iteration"]) == [
        {"iteration": 0, "score": 9.0},
        {"iteration": 1, "loss": 2.0},
        {"iteration": 4, "score": 9.0},
        {"iteration": 5, "loss": 2.0},
    ]


def test_tensorboard_shows_scalars_and_pictures(tmp_path: Path) -> None:
    writer = events.TensorboardXWriter(str(tmp_path))
    assert not list(tmp_path.iterdir())  # made at the first write
    with EventStorage() as storage:
        storage.put_scalar("loss", 0.5)
        storage.put_image("mask", torch.full((3, 4, 6), 255, dtype=torch.uint8))
        writer.write()
        storage.step()
        storage.put_scalar("loss", 1.5)
        writer.write()
    writer.close()
    shown = EventAccumulator(str(tmp_path), {"images": 0, "scalars": 0}).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [(0, 0.5), (1, 1.0)]
    (picture,) = shown.Images("mask")
    assert (picture.step, picture.height, picture.width) == (0, 4, 6)


def test_terminal_shows_progress(caplog: pytest.LogCaptureFixture) -> None:
    printer = events.CommonMetricPrinter(max_iter=10)
    printer.logger.propagate = True
    with EventStorage(4) as storage, caplog.at_level(logging.INFO, printer.logger.name):
        printer.logger.addHandler(caplog.handler)
        storage.put_scalars(loss_mask=0.25, total_loss=0.5, time=2.0, data_time=0.125)
        storage.put_scalars(**{"[metric]recall": 0.75}, accuracy=0.9)
        storage.put_scalar("lr", 0.001, smoothing_hint=False)
        printer.write()
        line = caplog.records[0].getMessage()
        caplog.clear()
        storage.iter = 10  # the run is over
        printer.write()
        printer.logger.removeHandler(caplog.handler)
    for part in (
        *("eta: 0:00:10", "iter: 4", "loss_mask: 0.25", "total_loss: 0.5", "[metric]recall: 0.75"),
        *("time: 2.0000", "last_time: 2.0000", "data_time: 0.1250", "lr: 0.001"),
    ):
        assert part in line
    assert "accuracy" not in line
    assert not caplog.records
