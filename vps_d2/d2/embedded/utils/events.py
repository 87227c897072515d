"""Scalars and pictures of a run, and their writers to the terminal, JSON and TensorBoard.

Scalars are kept with their iteration; a writer writes those that it has not written before.
"""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import torch
from fvcore.common.history_buffer import HistoryBuffer

from vps_d2.d2.embedded.utils.file_io import PathManager

__all__ = [
    "CommonMetricPrinter",
    "EventStorage",
    "EventWriter",
    "JSONWriter",
    "TensorboardXWriter",
    "get_event_storage",
]

_storages: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """Return the storage of the innermost ``with EventStorage():`` around the call.

    Raises:
        AssertionError: if there is none.
    """
    assert _storages, "there is no storage outside of a `with EventStorage():` block"
    return _storages[-1]


class EventStorage:
    """The record of a run: scalars with their history, and pictures not yet written.

    Args:
        start_iter: number of the first iteration.
    """

    def __init__(self, start_iter: int = 0) -> None:
        self.iter = start_iter
        self._histories: dict[str, HistoryBuffer] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        self._hints: dict[str, bool] = {}
        self._vis_data: list[tuple[str, torch.Tensor | np.ndarray, int]] = []

    @property
    def iter(self) -> int:
        """Number of the current iteration."""
        return self._iter

    @iter.setter
    def iter(self, value: int) -> None:
        self._iter = int(value)

    def step(self) -> None:
        """Go on to the next iteration; a trainer sets ``iter`` instead."""
        self._iter += 1

    def put_scalar(
        self, name: str, value: Any, smoothing_hint: bool = True, cur_iter: int | None = None
    ) -> None:
        """Keep a scalar.

        Args:
            name: of the scalar.
            value: a number, or a tensor of one element.
            smoothing_hint: whether it is noisy, so that writers show a median.
            cur_iter: iteration that it belongs to; the current one by default.

        Raises:
            AssertionError: if the scalar was put with another hint before.
        """
        hint = self._hints.setdefault(name, smoothing_hint)
        assert hint == smoothing_hint, f"scalar {name} was put with smoothing_hint={hint} before"
        iteration = self._iter if cur_iter is None else cur_iter
        self._latest[name] = (float(value), iteration)
        self._histories.setdefault(name, HistoryBuffer()).update(float(value), iteration)

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: Any
    ) -> None:
        """Keep several scalars, given as keyword arguments; see :meth:`put_scalar`."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def put_image(self, img_name: str, img_tensor: torch.Tensor | np.ndarray) -> None:
        """Keep a picture for TensorBoard.

        Args:
            img_name: of the picture.
            img_tensor: ``(3, H, W)``, RGB, uint8 0-255 or float 0-1.
        """
        self._vis_data.append((img_name, img_tensor, self._iter))

    def clear_images(self) -> None:
        """Forget the pictures; a writer calls this after writing them."""
        self._vis_data = []

    def history(self, name: str) -> HistoryBuffer:
        """Return all values of a scalar.

        Raises:
            KeyError: if there is none.
        """
        if name not in self._histories:
            raise KeyError(f"there is no scalar called {name}")
        return self._histories[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """Return all values of all scalars, by name."""
        return self._histories

    def latest(self) -> dict[str, tuple[float, int]]:
        """Return the last value of each scalar and its iteration, by name."""
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """Return what :meth:`latest` does, with a median instead of each noisy value.

        Args:
            window_size: iterations that the median is taken over.
        """
        return {
            name: (self._median(name, window_size) if self._hints[name] else value, iteration)
            for name, (value, iteration) in self._latest.items()
        }

    def _median(self, name: str, window_size: int) -> float:
        return self._histories[name].median(self.count_samples(name, window_size))

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """Return how many values of a scalar lie in the last iterations that it was put in.

        Args:
            name: of the scalar.
            window_size: iterations, counted back from its last value.
        """
        iterations = [iteration for _, iteration in self.history(name).values()]
        count = 0
        for iteration in reversed(iterations):
            if iteration <= iterations[-1] - window_size:
                break
            count += 1
        return count

    def __enter__(self) -> "EventStorage":
        _storages.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        assert _storages.pop() is self, "storages must be left in the reverse order of entering"


class EventWriter(ABC):
    """Writes the new content of the current storage somewhere."""

    @abstractmethod
    def write(self) -> None:
        """Write what was added since the last call."""

    def close(self) -> None:  # noqa: B027  most writers hold nothing open
        """Release files."""


class JSONWriter(EventWriter):
    """Appends one line of JSON for each iteration that has new scalars.

    Args:
        json_file: path; lines are added to a file that exists.
        window_size: iterations that noisy scalars are smoothed over.
    """

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        self._file = PathManager.open(json_file, "a")
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        """Write the scalars of iterations after the last one written."""
        lines: dict[int, dict[str, float]] = defaultdict(dict)
        latest = get_event_storage().latest_with_smoothing_hint(self._window_size)
        for name, (value, iteration) in latest.items():
            if iteration > self._last_write:
                lines[iteration][name] = value
        for iteration in sorted(lines):
            line = {**lines[iteration], "iteration": iteration}
            self._file.write(json.dumps(line, sort_keys=True) + "\n")
            self._last_write = iteration
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorboardXWriter(EventWriter):
    """Writes scalars and pictures to a TensorBoard event file.

    Args:
        log_dir: folder of the event file.
        window_size: iterations that noisy scalars are smoothed over.
        kwargs: further arguments of ``torch.utils.tensorboard.SummaryWriter``.
    """

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        self._window_size = window_size
        self._arguments = {"log_dir": log_dir, **kwargs}
        self._last_write = -1

    @cached_property
    def _writer(self) -> Any:
        # TensorBoard takes a second to import, and creates its file at once.
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(**self._arguments)

    def write(self) -> None:
        """Write the scalars of iterations after the last one written, and all pictures."""
        storage = get_event_storage()
        newest = self._last_write
        for name, (value, iteration) in storage.latest_with_smoothing_hint(
            self._window_size
        ).items():
            if iteration > self._last_write:
                self._writer.add_scalar(name, value, iteration)
                newest = max(newest, iteration)
        self._last_write = newest
        for name, picture, iteration in storage._vis_data:
            self._writer.add_image(name, picture, iteration)
        storage.clear_images()

    def close(self) -> None:
        """Close the event file."""
        if "_writer" in self.__dict__:
            self._writer.close()


class CommonMetricPrinter(EventWriter):
    """Logs progress in one line: time left, losses, speed, learning rate and memory.

    Args:
        max_iter: iterations of the run, for the time left; None leaves it out.
        window_size: iterations that losses are smoothed over.
    """

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        self.logger = logging.getLogger(__name__)
        self._max_iter = max_iter
        self._window_size = window_size

    def write(self) -> None:
        """Log the line of the current iteration, unless the run is over."""
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return
        parts = [*self._time_left(storage), f"iter: {storage.iter}"]
        histories = storage.histories()
        for word in ("loss", "[metric]"):
            parts += [
                f"{name}: {history.median(storage.count_samples(name, self._window_size)):.4g}"
                for name, history in histories.items()
                if word in name
            ]
        if "time" in histories:
            time_history = histories["time"]
            parts.append(f"time: {time_history.global_avg():.4f}")
            parts.append(f"last_time: {time_history.latest():.4f}")
        if "data_time" in histories:
            data_time = histories["data_time"]
            mean = data_time.avg(storage.count_samples("data_time", self._window_size))
            parts.append(f"data_time: {mean:.4f}")
            parts.append(f"last_data_time: {data_time.latest():.4f}")
        parts.append(f"lr: {histories['lr'].latest():.5g}" if "lr" in histories else "lr: N/A")
        if torch.cuda.is_available():
            parts.append(f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M")
        self.logger.info(" " + "  ".join(parts))

    def _time_left(self, storage: EventStorage) -> list[str]:
        if self._max_iter is None or "time" not in storage.histories():
            return []
        left = self._max_iter - storage.iter - 1
        seconds = storage.history("time").median(1000) * left
        storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
        return [f"eta: {timedelta(seconds=int(seconds))}"]
