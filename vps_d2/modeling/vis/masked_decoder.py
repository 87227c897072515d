"""The transformer decoder of Mask2Former (arXiv 2112.01527, section 3.2): a mask for each query.

Parameters are named as in the public code, so that its checkpoints load.

Shapes: ``N`` frames, ``Q`` queries, ``K`` classes, ``C`` channels, ``D`` channels of the mask
features, ``H`` rows, ``W`` columns, ``M`` heads.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.modeling.vis.pixel_decoder import NUM_SCALES
from vps_d2.modeling.vis.positions import sine_positions


class Prediction(NamedTuple):
    """What a layer of the decoder says about each query."""

    logits: torch.Tensor
    """Of the classes and then of no object, ``(N, Q, K + 1)``."""
    masks: torch.Tensor
    """Logits of the pixels, ``(N, Q, H, W)``."""
    queries: torch.Tensor
    """The normalized queries themselves, ``(N, Q, C)``."""


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        in_channels: of the input.
        hidden_channels: between the layers.
        out_channels: of the output.
        num_layers: at least 1.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, num_layers: int
    ) -> None:
        super().__init__()
        hidden = [hidden_channels] * (num_layers - 1)
        self.layers = nn.ModuleList(
            nn.Linear(first, second)
            for first, second in zip([in_channels, *hidden], [*hidden, out_channels], strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(..., in_channels)`` to ``(..., out_channels)``."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class _Residual(nn.Module):
    """A step whose result is added to the queries, with a normalization before or after it."""

    def __init__(self, channels: int, pre_norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.pre_norm = pre_norm

    def before(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x) if self.pre_norm else x

    def add(self, x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        return x + change if self.pre_norm else self.norm(x + change)


class _SelfAttention(_Residual):
    def __init__(self, channels: int, heads: int, pre_norm: bool) -> None:
        super().__init__(channels, pre_norm)
        self.self_attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        value = self.before(x)
        placed = value + positions
        return self.add(x, self.self_attn(placed, placed, value, need_weights=False)[0])


class _CrossAttention(_Residual):
    def __init__(self, channels: int, heads: int, pre_norm: bool) -> None:
        super().__init__(channels, pre_norm)
        self.multihead_attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(
        self,
        x: torch.Tensor,
        positions: torch.Tensor,
        pixels: torch.Tensor,
        placed: torch.Tensor,
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        query = self.before(x) + positions
        change, _ = self.multihead_attn(query, placed, pixels, attn_mask=hidden, need_weights=False)
        return self.add(x, change)


class _FeedForward(_Residual):
    def __init__(self, channels: int, feedforward: int, pre_norm: bool) -> None:
        super().__init__(channels, pre_norm)
        self.linear1 = nn.Linear(channels, feedforward)
        self.linear2 = nn.Linear(feedforward, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.add(x, self.linear2(self.linear1(self.before(x)).relu()))


class MultiScaleMaskedTransformerDecoder(nn.Module):
    """Queries that look at one map after the other, each only within its own mask so far.

    Args:
        in_channels: of the maps.
        num_classes: ``K``.
        channels: ``C``, of the queries.
        mask_channels: ``D``.
        num_queries: ``Q``.
        num_layers: after each of them, and before the first, there is a prediction.
        feedforward: hidden channels of the MLPs.
        num_heads: ``M``.
        pre_norm: normalize before a step, instead of after it.
        always_project: project the maps even if they have ``C`` channels.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int,
        channels: int = 256,
        mask_channels: int = 256,
        num_queries: int = 100,
        num_layers: int = 9,
        feedforward: int = 2048,
        num_heads: int = 8,
        pre_norm: bool = False,
        always_project: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        rounds = range(num_layers)
        self.transformer_self_attention_layers = nn.ModuleList(
            _SelfAttention(channels, num_heads, pre_norm) for _ in rounds
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            _CrossAttention(channels, num_heads, pre_norm) for _ in rounds
        )
        self.transformer_ffn_layers = nn.ModuleList(
            _FeedForward(channels, feedforward, pre_norm) for _ in rounds
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        self.decoder_norm = nn.LayerNorm(channels)
        self.query_feat = nn.Embedding(num_queries, channels)
        self.query_embed = nn.Embedding(num_queries, channels)
        self.level_embed = nn.Embedding(NUM_SCALES, channels)
        self.input_proj = nn.ModuleList()
        for _ in range(NUM_SCALES):
            if in_channels == channels and not always_project:
                self.input_proj.append(nn.Identity())
                continue
            projection = nn.Conv2d(in_channels, channels, kernel_size=1)
            weight_init.c2_xavier_fill(projection)
            self.input_proj.append(projection)
        self.class_embed = nn.Linear(channels, num_classes + 1)
        self.mask_embed = MLP(channels, channels, mask_channels, 3)

    def forward(
        self, maps: Sequence[torch.Tensor], mask_features: torch.Tensor
    ) -> list[Prediction]:
        """Predict classes and masks.

        Args:
            maps: NUM_SCALES of them, ``(N, in_channels, H, W)``, from coarse to fine.
            mask_features: ``(N, D, H, W)``.

        Returns:
            the prediction of the learned queries, and then of each layer; the last one counts.
        """
        count = len(mask_features)
        pixels, placed = self._flatten(maps)
        positions = self.query_embed.weight
        x = self.query_feat.weight.expand(count, -1, -1)
        predictions = [self._predict(x, mask_features)]
        for index in range(len(self.transformer_ffn_layers)):
            level = index % NUM_SCALES
            hidden = self._hide(predictions[-1].masks, maps[level].shape[-2:])
            x = self.transformer_cross_attention_layers[index](
                x, positions, pixels[level], placed[level], hidden
            )
            x = self.transformer_self_attention_layers[index](x, positions)
            x = self.transformer_ffn_layers[index](x)
            predictions.append(self._predict(x, mask_features))
        return predictions

    def _flatten(
        self, maps: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the pixels of each map, ``(N, H W, C)``, without and with their positions."""
        pixels, placed = [], []
        for each, project, level in zip(
            maps, self.input_proj, self.level_embed.weight, strict=True
        ):
            flat = project(each).flatten(2).transpose(1, 2) + level
            code = sine_positions(each.shape[2], each.shape[3], flat.shape[2], each.device)
            pixels.append(flat)
            placed.append(flat + code.flatten(1).T)
        return pixels, placed

    def _predict(self, x: torch.Tensor, mask_features: torch.Tensor) -> Prediction:
        queries = self.decoder_norm(x)
        masks = torch.einsum("nqd,ndhw->nqhw", self.mask_embed(queries), mask_features)
        return Prediction(self.class_embed(queries), masks, queries)

    def _hide(self, masks: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Return the pixels that a query does not look at, bool ``(N M, Q, H W)``.

        A query whose mask is empty looks at all of them.
        """
        logits = F.interpolate(masks.detach(), size=tuple(size), mode="bilinear").flatten(2)
        hidden = logits < 0
        hidden = hidden & ~hidden.all(-1, keepdim=True)
        return hidden.repeat_interleave(self.num_heads, dim=0)
