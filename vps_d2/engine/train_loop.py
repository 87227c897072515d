"""The training loop, with a forward pass in a chosen number format and reproducible noise."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from vps_d2.d2.engine import SimpleTrainer
from vps_d2.d2.utils import comm


class AutocastTrainer(SimpleTrainer):
    """Detectron2's ``SimpleTrainer`` with an autocast forward, on CPUs and GPUs alike.

    bfloat16 has float32's range, so gradients need no scaling. Detectron2's own ``AMPTrainer``
    demands CUDA.

    Args:
        model: from a batch to a dict of losses, or to one loss.
        data_loader: yields batches.
        optimizer: of the model's parameters.
        precision: number format of the forward; None, or float32, casts nothing.
        seed: seeds PyTorch before each step, together with the iteration and the process, so that a
            resumed run has the same losses as an uninterrupted one; negative for no seeding.
        kwargs: further arguments of ``SimpleTrainer``.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: torch.optim.Optimizer,
        *,
        precision: torch.dtype | None = None,
        seed: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, data_loader, optimizer, **kwargs)
        self.precision = precision
        self.seed = seed

    def run_step(self) -> None:
        """Run one iteration: load, forward, backward, write the metrics, update.

        Raises:
            FloatingPointError: if the loss is infinite or NaN; the weights are then as they were
                before the iteration.
        """
        assert self.model.training, "the model was left in evaluation mode"
        if self.seed >= 0:
            words = [self.seed, self.iter, comm.get_rank()]
            torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start

        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        with self._autocast():
            losses = self.model(data)
        if isinstance(losses, torch.Tensor):
            losses = {"total_loss": losses}
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        self.after_backward()

        if self.async_write_metrics:
            self.concurrent_executor.submit(self._write_metrics, losses, data_time, iter=self.iter)
        else:
            self._write_metrics(losses, data_time)
        self.optimizer.step()

    def _autocast(self) -> AbstractContextManager:
        device = next(self.model.parameters()).device.type
        enabled = self.precision not in (None, torch.float32)
        return torch.autocast(device, dtype=self.precision if enabled else None, enabled=enabled)
