"""Embeddings that tell objects apart over time (IDOL, arXiv 2207.10661; CTVIS, arXiv 2307.12616).

Shapes: ``T`` frames of a clip, ``Q`` queries, ``K`` objects of the clip, ``D`` numbers of an
embedding.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.modeling.batch import batch_mean

ABSENT = -1


@dataclass
class _Memory:
    """What is known of an object so far: its embeddings, and a mean of them that resists errors."""

    seen: list[torch.Tensor]
    mean: torch.Tensor

    def add(self, embedding: torch.Tensor) -> None:
        """Add an embedding ``(D,)``; the less it resembles the others, the less it counts."""
        others = F.normalize(torch.stack(self.seen), dim=-1)
        similarity = (others @ F.normalize(embedding, dim=0)).mean().clamp(min=0)
        self.mean = (1 - similarity) * self.mean + similarity * embedding
        self.seen.append(embedding)


class ContrastiveLoss(nn.Module):
    """Draw the embeddings of an object in several frames together, and those of others apart.

    For each object in each frame but the first, its embedding there is compared with the one from
    before, and with all other queries of the frame before. As in CTVIS, the one from before is by
    turns the last one and a mean over the clip so far, which is what a tracker compares with.

    Args:
        weight: of the contrastive loss, over dot products.
        auxiliary_weight: of the squared error of the cosines, which should be 1 for the same
            object and 0 for others.
        memory_share: chance that the mean is taken instead of the last embedding.
    """

    def __init__(
        self,
        *,
        weight: float = 2.0,
        auxiliary_weight: float = 3.0,
        memory_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.auxiliary_weight = auxiliary_weight
        self.memory_share = memory_share

    def forward(self, clips: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch of clips.

        Args:
            clips: of each clip the embeddings of all queries ``(T, Q, D)``, and which query stands
                for an object in a frame, int64 ``(T, K)``, ABSENT where it is not visible.

        Returns:
            ``loss_reid`` and ``loss_aux_reid``, means over all comparisons; 0 if there are none.
        """
        contrasts, errors = [], []
        for embeddings, queries in clips:
            for anchor, positive, negatives in self._comparisons(embeddings.float(), queries):
                candidates = torch.cat([positive[None], negatives])
                products = candidates @ anchor
                contrasts.append(torch.logsumexp(products, 0) - products[0])
                cosines = F.normalize(candidates, dim=-1) @ F.normalize(anchor, dim=0)
                truth = torch.zeros_like(cosines)
                truth[0] = 1
                errors.append(F.mse_loss(cosines, truth))
        if not contrasts:
            nothing = sum((embeddings.sum() for embeddings, _ in clips), torch.zeros(())) * 0
            return {name: batch_mean(nothing, 0) for name in ("loss_reid", "loss_aux_reid")}
        contrast, error = (
            batch_mean(torch.stack(each).mean(), len(each)) for each in (contrasts, errors)
        )
        return {"loss_reid": self.weight * contrast, "loss_aux_reid": self.auxiliary_weight * error}

    def _comparisons(
        self, embeddings: torch.Tensor, queries: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Return an object's embedding in a frame, one from before, and those of others before."""
        comparisons = []
        memories: dict[int, _Memory] = {}
        everything = torch.arange(embeddings.shape[1], device=queries.device)
        for frame, places in enumerate(queries.tolist()):
            for number, query in enumerate(places):
                if query == ABSENT:
                    continue
                anchor = embeddings[frame, query]
                memory = memories.get(number)
                if memory is None:
                    memories[number] = _Memory([anchor], anchor)
                    continue
                averaged = bool(torch.rand(()) < self.memory_share)
                positive = memory.mean if averaged else memory.seen[-1]
                others = embeddings[frame - 1][everything != queries[frame - 1, number]]
                comparisons.append((anchor, positive, others))
                memory.add(anchor)
        return comparisons
