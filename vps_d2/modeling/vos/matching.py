"""Reading a memory: the L2 affinity of STCN (arXiv 2106.05210, eq. 6), and its top-k softmax.

Shapes: ``B`` videos, ``C`` channels of a key, ``V`` of a value, ``M`` cells in the memory, ``Q``
cells of the frame to segment, ``K`` objects.
"""

import math

import torch
import torch.nn.functional as F


def similarity(
    memory_keys: torch.Tensor, query_keys: torch.Tensor, key_channels: int
) -> torch.Tensor:
    """Return the negative squared distance of keys, less what does not depend on the memory.

    It is computed in single precision, because it is a small difference of large numbers.

    Args:
        memory_keys: ``(B, C, M)``.
        query_keys: ``(B, C, Q)``.
        key_channels: the distance is divided by the square root of it.

    Returns:
        float32 ``(B, Q, M)``.
    """
    with torch.autocast(memory_keys.device.type, enabled=False):
        memory, query = memory_keys.float(), query_keys.float()
        scale = 1 / math.sqrt(key_channels)
        squares = memory.pow(2).sum(1)[:, None] * -scale
        return torch.baddbmm(squares, query.transpose(1, 2), memory, alpha=2 * scale)


def read_all(
    similarities: torch.Tensor, values: torch.Tensor, videos: torch.Tensor
) -> torch.Tensor:
    """Return the means of values, weighted by a softmax over the whole memory, as in training.

    Args:
        similarities: ``(B, Q, M)``.
        values: ``(K, V, M)``.
        videos: that of each object, int64 ``(K,)``.

    Returns:
        ``(K, V, Q)``, of the dtype of ``values``.
    """
    weights = similarities.softmax(2).to(values.dtype)
    return values @ weights[videos].transpose(1, 2)


def best_matches(similarities: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the softmax over the cells of the memory that are most alike, as in inference.

    Args:
        similarities: ``(Q, M)``.
        top_k: how many cells count; all of them if there are fewer.

    Returns:
        weights float32 and cells int64, both ``(Q, top_k)``.
    """
    best, cells = similarities.topk(min(top_k, similarities.shape[1]), dim=1)
    return best.softmax(1), cells


def read_best(weights: torch.Tensor, cells: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the weighted means of the values of some cells.

    Args:
        weights: from :func:`best_matches`.
        cells: from :func:`best_matches`.
        values: float32 ``(M, V)``.

    Returns:
        float32 ``(Q, V)``.
    """
    return F.embedding_bag(cells, values, per_sample_weights=weights, mode="sum")
