"""The training loop and its hooks' interface."""

import logging
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import nn

from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.events import EventStorage, get_event_storage

__all__ = ["HookBase", "SimpleTrainer", "TrainerBase"]

_logger = logging.getLogger(__name__)


class HookBase:
    """Something to do at certain moments of training; a subclass overrides the moments it needs.

    ``before_step`` should take no noticeable time, or the timer's figures are wrong. A hook with a
    state also overrides ``state_dict`` and ``load_state_dict``.
    """

    trainer: Any = None
    """A weak reference to the trainer, which sets it."""

    def before_train(self) -> None:
        """Act before the first iteration."""

    def after_train(self) -> None:
        """Act after the last iteration, or after an error."""

    def before_step(self) -> None:
        """Act before each iteration."""

    def after_backward(self) -> None:
        """Act between the gradients and the update of each iteration."""

    def after_step(self) -> None:
        """Act after each iteration."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to keep in a checkpoint; by default nothing."""
        return {}


class TrainerBase(ABC):
    """A loop of iterations with hooks around them.

    Attributes:
        iter: the current iteration; ``max_iter`` after a complete run.
        start_iter: iteration that the run started with.
        max_iter: iteration that it ends before.
        storage: scalars and pictures, during training.
    """

    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Add hooks after the existing ones; None is skipped."""
        for hook in hooks:
            if hook is None:
                continue
            assert isinstance(hook, HookBase), f"{hook!r} is not a hook"
            hook.trainer = weakref.proxy(self)
            self._hooks.append(hook)

    def train(self, start_iter: int, max_iter: int) -> Any:
        """Run the iterations ``start_iter`` to ``max_iter - 1``."""
        _logger.info("Starting training from iteration %d", start_iter)
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self.before_train()
                for self.iter in range(start_iter, max_iter):
                    self.before_step()
                    self.run_step()
                    self.after_step()
                # This tells the hooks that the run was completed.
                self.iter += 1
            except Exception:
                _logger.exception("Exception during training:")
                raise
            finally:
                self.after_train()

    def before_train(self) -> None:
        """Call the hooks before the first iteration."""
        for hook in self._hooks:
            hook.before_train()

    def after_train(self) -> None:
        """Call the hooks after the last iteration, or after an error."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.after_train()

    def before_step(self) -> None:
        """Call the hooks before an iteration."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.before_step()

    def after_backward(self) -> None:
        """Call the hooks after the backward pass of an iteration."""
        for hook in self._hooks:
            hook.after_backward()

    def after_step(self) -> None:
        """Call the hooks after an iteration."""
        for hook in self._hooks:
            hook.after_step()

    @abstractmethod
    def run_step(self) -> None:
        """Run one iteration."""

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration, and the states of the hooks by the names of their classes."""
        states: dict[str, Any] = {}
        for hook in self._hooks:
            state = hook.state_dict()
            if state:
                states.setdefault(type(hook).__qualname__, state)
        return {"iteration": self.iter, **({"hooks": states} if states else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; that of a missing hook is skipped with a warning."""
        self.iter = state_dict["iteration"]
        for name, state in state_dict.get("hooks", {}).items():
            named = (hook for hook in self._hooks if type(hook).__qualname__ == name)
            hook: Any = next(named, None)
            if hook is None:
                _logger.warning("Cannot find the hook '%s', its state is left out.", name)
            else:
                hook.load_state_dict(state)


class SimpleTrainer(TrainerBase):
    """One model, one optimizer, one loader: load, forward, backward, update.

    Args:
        model: from a batch to a dict of losses, or to one loss; put into training mode.
        data_loader: yields batches.
        optimizer: of the model's parameters.
        gather_metric_period: iterations between two collections of losses from all processes.
        zero_grad_before_forward: clear the gradients before the forward rather than after it.
        async_write_metrics: write losses in another thread.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        super().__init__()
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward
        self.async_write_metrics = async_write_metrics
        self._data_loader_iter_obj: Iterator | None = None
        # One thread, so that iterations are written in their order.
        self.concurrent_executor = ThreadPoolExecutor(max_workers=1)

    @property
    def _data_loader_iter(self) -> Iterator:
        # Only now: worker processes start with the first batch, not with the trainer.
        if self._data_loader_iter_obj is None:
            self._data_loader_iter_obj = iter(self.data_loader)
        return self._data_loader_iter_obj

    def run_step(self) -> None:
        """Run one iteration.

        Raises:
            FloatingPointError: if the loss is infinite or NaN; the weights are then as they were
                before the iteration.
        """
        assert self.model.training, "the model was left in evaluation mode"
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start

        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        losses = self.model(data)
        if isinstance(losses, torch.Tensor):
            losses = {"total_loss": losses}
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.after_backward()

        if self.async_write_metrics:
            self.concurrent_executor.submit(self._write_metrics, losses, data_time, iter=self.iter)
        else:
            self._write_metrics(losses, data_time)
        self.optimizer.step()

    def _write_metrics(
        self,
        loss_dict: Mapping[str, torch.Tensor],
        data_time: float,
        prefix: str = "",
        iter: int | None = None,
    ) -> None:
        iteration = self.iter if iter is None else iter
        if (iteration + 1) % self.gather_metric_period:
            return
        try:
            SimpleTrainer.write_metrics(loss_dict, data_time, iteration, prefix)
        except Exception:
            # In another thread, the exception would be lost.
            _logger.exception("Exception in writing metrics:")
            raise

    @staticmethod
    def write_metrics(
        loss_dict: Mapping[str, torch.Tensor], data_time: float, cur_iter: int, prefix: str = ""
    ) -> None:
        """Put losses, averaged over the processes, and their sum into the current storage.

        Args:
            loss_dict: scalars by name.
            data_time: seconds that this process waited for the batch; the longest wait is kept.
            cur_iter: iteration that they belong to.
            prefix: put before the name of the sum.

        Raises:
            FloatingPointError: if the sum is infinite or NaN.
        """
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", data_time, cur_iter=cur_iter)
        own = {name: loss.detach().item() for name, loss in loss_dict.items()}
        gathered = comm.gather((own, data_time))
        if not comm.is_main_process():
            return
        storage.put_scalar("data_time", max(wait for _, wait in gathered), cur_iter=cur_iter)
        losses = {name: float(np.mean([each[name] for each, _ in gathered])) for name in own}
        total = sum(losses.values())
        if not np.isfinite(total):
            raise FloatingPointError(
                f"Loss became infinite or NaN at iteration={cur_iter}!\nloss_dict = {losses}"
            )
        storage.put_scalar(f"{prefix}total_loss", total, cur_iter=cur_iter)
        if len(losses) > 1:
            for name, loss in losses.items():
                storage.put_scalar(name, loss, cur_iter=cur_iter)

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration, the hooks' states and the optimizer's."""
        return {**super().state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])

    def after_train(self) -> None:
        """Call the hooks, and wait for losses that are still being written."""
        super().after_train()
        self.concurrent_executor.shutdown(wait=True)
