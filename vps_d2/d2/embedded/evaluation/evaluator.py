"""Running a model over a data set, and evaluating its outputs."""

import datetime
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from vps_d2.d2.embedded.utils import comm

__all__ = ["DatasetEvaluator", "DatasetEvaluators", "inference_context", "inference_on_dataset"]

_WARMUP_BATCHES = 5
_SECONDS_BETWEEN_LOGS = 5.0


class DatasetEvaluator:
    """Takes a model's inputs and outputs, batch by batch, and returns scores in the end."""

    def reset(self) -> None:
        """Prepare for a new round."""

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Count one batch."""

    def evaluate(self) -> dict[str, Any] | None:
        """Return task -> score -> value; None in processes without a result."""
        return None


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators as one; their tasks must have different names.

    Args:
        evaluators: to feed with the same batches.
    """

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self._evaluators = list(evaluators)

    def reset(self) -> None:
        """Reset every evaluator."""
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Give a batch to every evaluator."""
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> dict[str, Any]:
        """Return the scores of all evaluators; only in the main process."""
        results: dict[str, Any] = {}
        for evaluator in self._evaluators:
            scores = evaluator.evaluate()
            if scores is None or not comm.is_main_process():
                continue
            twice = set(results) & set(scores)
            assert not twice, f"several evaluators return scores named {sorted(twice)}"
            results.update(scores)
        return results


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Set a model to inference mode, and back to its former mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


class _Stopwatch:
    """Seconds spent on each part of the work, except for the first batches."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.warmup = max(min(_WARMUP_BATCHES, total - 1), 0)
        self.last_log = time.perf_counter()
        self.restart()

    def restart(self) -> None:
        """Forget the time until now."""
        self.start = time.perf_counter()
        self.seconds = {"Dataloading": 0.0, "Inference": 0.0, "Eval": 0.0}

    def add(self, part: str, since: float) -> float:
        """Count the time since a moment, and return the present one."""
        now = time.perf_counter()
        self.seconds[part] += now - since
        return now

    def report(self, done: int) -> str:
        """Describe the progress after ``done`` batches."""
        counted = done - self.warmup if done > self.warmup else done
        whole = (time.perf_counter() - self.start) / counted
        eta = datetime.timedelta(seconds=int(whole * (self.total - done)))
        parts = [f"{part}: {value / counted:.4f} s/iter." for part, value in self.seconds.items()]
        return (
            f"Inference done {done}/{self.total}. {' '.join(parts)} "
            f"Total: {whole:.4f} s/iter. ETA={eta}"
        )


def inference_on_dataset(
    model: nn.Module, data_loader: Any, evaluator: DatasetEvaluator
) -> dict[str, Any]:
    """Run a model over a data set, without gradients and in inference mode.

    Args:
        model: from a batch to outputs.
        data_loader: of batches, with a length.
        evaluator: is given every batch and its outputs.

    Returns:
        what the evaluator returns, or an empty dict.
    """
    logger = logging.getLogger(__name__)
    total = len(data_loader)
    logger.info("Start inference on %d batches", total)
    evaluator.reset()
    watch = _Stopwatch(total)
    with inference_context(model), torch.no_grad():
        moment = time.perf_counter()
        for index, inputs in enumerate(data_loader):
            moment = watch.add("Dataloading", moment)
            if index == watch.warmup:
                watch.restart()
                moment = watch.start
            outputs = model(inputs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            moment = watch.add("Inference", moment)
            evaluator.process(inputs, outputs)
            moment = watch.add("Eval", moment)
            if moment - watch.last_log > _SECONDS_BETWEEN_LOGS:
                watch.last_log = moment
                logger.info(watch.report(index + 1))
    _log_total(logger, watch)
    return evaluator.evaluate() or {}


def _log_total(logger: logging.Logger, watch: _Stopwatch) -> None:
    if not watch.total:
        return
    counted = watch.total - watch.warmup
    for name, seconds in (
        ("inference time", time.perf_counter() - watch.start),
        ("inference pure compute time", watch.seconds["Inference"]),
    ):
        logger.info(
            "Total %s: %s (%.6f s / iter per device, on %d devices)",
            name,
            datetime.timedelta(seconds=int(seconds)),
            seconds / counted,
            comm.get_world_size(),
        )
