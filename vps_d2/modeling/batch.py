"""Sums, means and normalization over the batch of all processes of a run.

With them, several processes compute what one computes from the same batch. A loss that is computed
from such sums has the same value in every process, and the mean of its gradients over the
processes, which DistributedDataParallel takes, is the gradient for the whole batch. Every process
must call these functions equally often, also for a share of the batch that has nothing to count. A
single process has no overhead.
"""

from typing import Any

import torch
import torch.nn.functional as F
from fvcore.nn.distributed import differentiable_all_reduce
from torch import distributed, nn

from vps_d2.d2.utils import comm

__all__ = ["batch_cat", "batch_mean", "batch_places", "batch_sum", "share_normalization"]


class _Sum(torch.autograd.Function):
    """The sum over processes that then all compute the same of it, so gradients need no sum."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * comm.get_world_size()


def batch_sum(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of the processes' values, of any shape, for a loss.

    All that depends on the sum must be computed by all processes alike.
    """
    if comm.get_world_size() == 1:
        return values
    total: torch.Tensor = _Sum.apply(values)
    return total


def batch_mean(mean: torch.Tensor, count: torch.Tensor | float) -> torch.Tensor:
    """Return the mean over all processes, given the one of this process, both scalars.

    Args:
        mean: of this process; 0 if there is nothing to count.
        count: what it was divided by, or the sum of the weights in it.

    Returns:
        float32, 0 if no process counts anything.
    """
    if comm.get_world_size() == 1:
        return mean
    weight = torch.as_tensor(count, dtype=torch.float32, device=mean.device)
    total, weight = batch_sum(torch.stack([mean.float() * weight, weight])).unbind()
    return total / weight.clamp(min=1e-6)


def batch_cat(values: torch.Tensor) -> torch.Tensor:
    """Return the values of all processes in the order of their ranks, for a loss.

    Args:
        values: ``(K,)``; each process may have another number.
    """
    if comm.get_world_size() == 1:
        return values
    counts = comm.all_gather(len(values))
    before = sum(counts[: comm.get_rank()])
    return batch_sum(F.pad(values, (before, sum(counts) - before - len(values))))


def batch_places(count: int) -> range:
    """Return the places in the whole batch of the ``count`` samples of this process.

    Samples are dealt to the processes one by one; see
    :class:`~vps_d2.data.loader.StreamSampler`.
    """
    step = comm.get_world_size()
    return range(comm.get_rank(), count * step, step)


def share_normalization(model: nn.Module) -> nn.Module:
    """Let batch normalization in training be over the batch of all processes.

    Args:
        model: is changed, and takes the weights that it took before.

    Returns:
        the model.
    """
    if next(model.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        plain = isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and module.affine
        if plain and module.track_running_stats and module.momentum is not None:
            module.__class__ = _SharedBatchNorm2d  # with its weights, statistics and hooks
    return model


class _SharedBatchNorm2d(nn.BatchNorm2d):
    """What PyTorch's ``SyncBatchNorm``, which needs GPUs, computes."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor
    momentum: float

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``(N, C, H, W)``; each process may have another ``N``."""
        if not self.training or comm.get_world_size() == 1:
            return super().forward(x)
        # In double precision, as PyTorch adds them: a channel that is constant stays so.
        dims, values = (0, 2, 3), x.to(torch.promote_types(x.dtype, torch.float32))
        sums = values.sum(dims, dtype=torch.float64)
        count = sums.new_tensor([values.numel() / len(sums)])
        total = differentiable_all_reduce(torch.cat([sums, count]))
        sums, count = total.split([len(sums), 1])
        mean = (sums / count).to(values.dtype)
        centered = values - mean[:, None, None]
        squares = differentiable_all_reduce(centered.square().sum(dims, dtype=torch.float64))
        variance = (squares / count).to(values.dtype)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_((squares / (count - 1)).to(values.dtype), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centered * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
