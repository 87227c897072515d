"""The transformer of VisTR: DETR's (arXiv 2005.12872) over the positions of all frames of a clip.

Weights have the names of the public code. Shapes: ``N`` clips, ``L`` positions of all frames,
``Q`` queries of all frames, ``D`` channels, ``T`` frames, ``H`` rows, ``W`` columns.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

_TEMPERATURE = 10000
_RADIUS = 0.08
"""How far beside its place a query begins to look, as a share of the picture."""
_FALL = 3.0
"""Of the logits of attention at the beginning, where a query looks at another frame or far away."""


class Transformer(nn.Module):
    """An encoder of positions, and a decoder of queries.

    Args:
        channels: ``D``.
        heads: of attention.
        num_encoder_layers: of the encoder.
        num_decoder_layers: of the decoder.
        feedforward_channels: hidden channels of the feed-forward networks.
        dropout: share of values that training sets to 0.
    """

    def __init__(
        self,
        *,
        channels: int = 384,
        heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = (channels, heads, feedforward_channels, dropout)
        self.encoder = _Encoder([_EncoderLayer(*sizes) for _ in range(num_encoder_layers)])
        self.decoder = _Decoder(
            [_DecoderLayer(*sizes) for _ in range(num_decoder_layers)], channels
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self,
        source: torch.Tensor,
        places: torch.Tensor,
        queries: torch.Tensor,
        padding: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode positions, and decode queries from them.

        Args:
            source: features of the positions, ``(N, L, D)``.
            places: codes of the positions, ``(N, L, D)`` or ``(1, L, D)``.
            queries: codes of the queries, ``(Q, D)``.
            padding: bool ``(N, L)``, True where a position is not in the picture; None if all are.

        Returns:
            what each decoder layer makes of the queries, ``(layers, N, Q, D)``, and the encoded
            positions, ``(N, L, D)``.
        """
        memory = self.encoder(source, places, padding)
        return self.decoder(memory, places, queries.expand(len(source), -1, -1), padding), memory

    @torch.no_grad()
    def look_around(self, num_frames: int, loudness: float) -> None:
        """Let the decoder begin by looking at the places that the queries are the codes of.

        Each head looks a little beside the place, in a direction of its own, as in Deformable DETR
        (arXiv 2010.04159). Without this, where to look is learned first, which takes long.

        Args:
            num_frames: ``T``.
            loudness: factor by which the codes of queries are larger than those of positions.
        """
        for encoder_layer in list(self.encoder.layers)[-1:]:
            assert isinstance(encoder_layer, _EncoderLayer)
            encoder_layer.norm2.weight.fill_(1 / loudness)
        for number, layer in enumerate(self.decoder.layers):
            assert isinstance(layer, _DecoderLayer)
            _look_around(layer.multihead_attn, num_frames, loudness)
            if number == 0:
                # Here queries are still zero, of which normalization would amplify each change
                # several hundred times.
                nn.init.normal_(layer.self_attn.out_proj.bias)
                layer.norm1.weight.fill_(0.1)


def _look_around(attention: nn.MultiheadAttention, num_frames: int, loudness: float) -> None:
    """Make the logits of attention fall with the distance from a point near a query's own."""
    channels, heads = attention.embed_dim, attention.num_heads
    size, third = channels // heads, channels // 3
    pairs = size // 6  # of sine and cosine, for each axis; those of the highest rates
    if pairs == 0:
        return
    rates = [_TEMPERATURE ** (-2 * pair / third) for pair in range(pairs)]

    def strength(distance: float) -> float:
        fall = sum(1 - math.cos(rate * 2 * math.pi * distance) for rate in rates)
        return math.sqrt(_FALL * math.sqrt(size) / fall / loudness)

    # The next frame, and places a quarter of the picture away.
    strengths = [strength(each) for each in (1 / max(num_frames, 2), 0.25, 0.25)]
    queries, keys, _ = attention.in_proj_weight.view(3, heads, size, channels).unbind()
    for head in range(heads):
        turn = 2 * math.pi * head / heads
        offsets = (0.0, _RADIUS * math.sin(turn), _RADIUS * math.cos(turn))
        for axis, (offset, scale) in enumerate(zip(offsets, strengths, strict=True)):
            for pair, rate in enumerate(rates):
                row, column = 2 * (axis * pairs + pair), axis * third + 2 * pair
                sine, cosine = (f(2 * math.pi * offset * rate) for f in (math.sin, math.cos))
                rotation = torch.tensor([[cosine, sine], [-sine, cosine]])
                for weights, block in ((queries, rotation), (keys, torch.eye(2))):
                    weights[head, row : row + 2] = 0
                    weights[head, row : row + 2, column : column + 2] = scale * block


class _Encoder(nn.Module):
    def __init__(self, layers: "list[_EncoderLayer]") -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, source: torch.Tensor, places: torch.Tensor, padding: torch.Tensor | None
    ) -> torch.Tensor:
        for layer in self.layers:
            source = layer(source, places, padding)
        return source


class _Decoder(nn.Module):
    def __init__(self, layers: "list[_DecoderLayer]", channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        memory: torch.Tensor,
        places: torch.Tensor,
        queries: torch.Tensor,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        x = torch.zeros_like(queries)
        outputs = []
        for layer in self.layers:
            x = layer(x, memory, places, queries, padding)
            outputs.append(self.norm(x))
        return torch.stack(outputs)


class _EncoderLayer(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, places: torch.Tensor, padding: torch.Tensor | None
    ) -> torch.Tensor:
        placed = x + places
        found = _attend(self.self_attn, placed, placed, x, padding)
        x = self.norm1(x + self.dropout(found))
        hidden = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(hidden)))


class _DecoderLayer(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        memory: torch.Tensor,
        places: torch.Tensor,
        queries: torch.Tensor,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        placed = x + queries
        x = self.norm1(x + self.dropout(_attend(self.self_attn, placed, placed, x)))
        found = _attend(self.multihead_attn, x + queries, memory + places, memory, padding)
        x = self.norm2(x + self.dropout(found))
        hidden = self.dropout(F.relu(self.linear1(x)))
        return self.norm3(x + self.dropout(self.linear2(hidden)))


def _attend(
    attention: nn.Module,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    padding: torch.Tensor | None = None,
) -> torch.Tensor:
    found: torch.Tensor = attention(
        queries, keys, values, key_padding_mask=padding, need_weights=False
    )[0]
    return found


def encode_places(present: torch.Tensor, channels: int) -> torch.Tensor:
    """Return sine codes of frame, row and column of every position, each a third of the channels.

    Coordinates are counted over the positions inside the picture, up to 2 pi.

    Args:
        present: bool ``(N, T, H, W)``, True where a position is inside the picture.
        channels: ``D``, a multiple of 6.

    Returns:
        float32 ``(N, T, H, W, D)``.
    """
    codes = []
    for axis in (1, 2, 3):
        counts = present.cumsum(axis, dtype=torch.float32)
        last = counts.narrow(axis, counts.shape[axis] - 1, 1)
        codes.append(encode_angles(counts / (last + 1e-6) * 2 * math.pi, channels // 3))
    return torch.cat(codes, dim=-1)


def encode_angles(angles: torch.Tensor, channels: int) -> torch.Tensor:
    """Return sines and cosines of angles at geometrically falling rates: ``(..., channels)``."""
    index = torch.arange(channels, dtype=torch.float32, device=angles.device)
    rates = _TEMPERATURE ** (2 * (index // 2) / channels)
    phases = angles[..., None] / rates
    pairs = torch.stack((phases[..., 0::2].sin(), phases[..., 1::2].cos()), dim=-1)
    return pairs.flatten(-2)
