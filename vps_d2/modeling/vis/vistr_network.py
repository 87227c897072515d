"""The network of VisTR (arXiv 2011.14503): tubes of a whole clip at once.

A query stands for one instance in one frame; query ``t K + k`` is instance ``k`` in frame ``t``.
Weights have the names of the public code (github.com/Epiphqny/VisTR), so its checkpoints load.

Shapes: ``N`` clips, ``T`` frames, ``K`` instances, ``C`` classes, ``D`` channels, ``H`` rows,
``W`` columns.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from vps_d2.io.errors import UserError
from vps_d2.modeling.vis.resnet import ResNetBody
from vps_d2.modeling.vis.vistr_masks import AttentionMaps, FrameMasks, make_tube_head
from vps_d2.modeling.vis.vistr_transformer import Transformer, encode_angles, encode_places

_BOX_LAYERS = 3
_EVEN_STEPS = (0.7548776662, 0.5698402910)
"""Of rows and columns: powers of the inverse of the plastic number (the R2 sequence)."""
_LOUDER = 3.0
"""Amplitude of the codes of queries at the beginning, so that they count more than contents."""


@dataclass
class Tubes:
    """What the network finds in a batch of clips.

    Attributes:
        logits: of the classes, of each decoder layer, ``(layers, N, T, K, C)``.
        boxes: of each decoder layer, ``(layers, N, T, K, 4)``: center and size, x before y, as
            shares of the picture.
        queries: decoded by the last layer, ``(N, T, K, D)``.
        memory: encoded frames, ``(N, T, D, H, W)``.
        features: of the backbone, of strides 16, 8 and 4, ``(N, T, C, H, W)`` each.
        padding: bool ``(N, T, H, W)``, True outside the pictures; None if nothing is.
    """

    logits: torch.Tensor
    boxes: torch.Tensor
    queries: torch.Tensor
    memory: torch.Tensor
    features: list[torch.Tensor]
    padding: torch.Tensor | None


class _BoxHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels] * _BOX_LAYERS
        self.layers = nn.ModuleList(
            nn.Linear(first, second) for first, second in zip(widths, [*widths[1:], 4], strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x).sigmoid()  # type: ignore[no-any-return]


class _Detector(nn.Module):
    """Backbone, transformer, and heads of classes and boxes."""

    def __init__(
        self,
        body: ResNetBody,
        transformer: Transformer,
        num_logits: int,
        num_frames: int,
        num_instances: int,
        channels: int,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.class_embed = nn.Linear(channels, num_logits)
        self.bbox_embed = _BoxHead(channels)
        self.query_embed = nn.Embedding(num_frames * num_instances, channels)
        self.input_proj = nn.Conv2d(body.channels[-1], channels, 1)
        # The public code calls the backbone's weights "backbone.0.body.*".
        self.backbone = nn.ModuleList([nn.ModuleDict({"body": body})])


class VisTRNetwork(nn.Module):
    """VisTR with its mask head.

    Args:
        body: backbone.
        num_logits: ``C``, with the two that are no classes of objects: the first is not used, since
            the public code counts classes from 1, and the last means "no object".
        num_frames: ``T``.
        num_instances: ``K``.
        channels: ``D``, a multiple of 48 and of ``heads``.
        heads: of attention.
        num_encoder_layers: of the transformer.
        num_decoder_layers: of the transformer.
        feedforward_channels: of the transformer.
        dropout: of the transformer.
        deformable: see :class:`FrameMasks`.

    Raises:
        UserError: if ``channels`` is not such a multiple.
    """

    def __init__(
        self,
        *,
        body: ResNetBody,
        num_logits: int,
        num_frames: int = 36,
        num_instances: int = 10,
        channels: int = 384,
        heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        deformable: bool = True,
    ) -> None:
        super().__init__()
        if channels % 48 or channels % heads:
            raise UserError(
                f"MODEL.VISTR.CHANNELS must be a multiple of 48 and of MODEL.VISTR.HEADS, {heads}, "
                f"not {channels}; change one of them."
            )
        self.num_frames = num_frames
        self.num_instances = num_instances
        self.channels = channels
        transformer = Transformer(
            channels=channels,
            heads=heads,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            feedforward_channels=feedforward_channels,
            dropout=dropout,
        )
        self.vistr = _Detector(body, transformer, num_logits, num_frames, num_instances, channels)
        self.bbox_attention = AttentionMaps(channels, heads)
        self.mask_head = FrameMasks(channels, heads, body.channels[2::-1], deformable)
        self.insmask_head = make_tube_head(self.mask_head.out_channels)
        self._start_near()

    @torch.no_grad()
    def _start_near(self) -> None:
        """Let each query begin by looking at its frame, around a point of its own.

        The code of a query is that of its frame and point. Public VisTR starts from random queries,
        and learns where to look from weights that were trained on many single pictures.
        """
        times = torch.arange(1, self.num_frames + 1) / self.num_frames
        numbers = torch.arange(self.num_instances) + 0.5
        # Points of a sequence that covers the picture evenly, however many there are of them.
        points = [(numbers * step) % 1 for step in _EVEN_STEPS]
        codes = [encode_angles(2 * math.pi * each, self.channels // 3) for each in (times, *points)]
        shape = (self.num_frames, self.num_instances, -1)
        code = torch.cat(
            [codes[0][:, None].expand(shape), codes[1].expand(shape), codes[2].expand(shape)], -1
        )
        self.vistr.query_embed.weight.copy_(_LOUDER * code.flatten(0, 1))
        self.vistr.transformer.look_around(self.num_frames, _LOUDER)

    @property
    def body(self) -> ResNetBody:
        """The backbone."""
        body = self.vistr.backbone[0].get_submodule("body")
        assert isinstance(body, ResNetBody)
        return body

    def forward(
        self, frames: torch.Tensor, padding: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find the tubes of clips.

        Args:
            frames: ``(N, T, 3, H, W)``, normalized.
            padding: bool ``(N, H, W)``, True outside the pictures; None if nothing is.

        Returns:
            logits of the classes ``(N, T, K, C)``, boxes ``(N, T, K, 4)`` as in :class:`Tubes`, and
            logits of the masks ``(N, T, K, H / 4, W / 4)``.
        """
        tubes = self.detect(frames, padding)
        return tubes.logits[-1], tubes.boxes[-1], self.draw(tubes)

    def detect(self, frames: torch.Tensor, padding: torch.Tensor | None = None) -> Tubes:
        """Find classes and boxes; the arguments are those of :meth:`forward`."""
        count, length = frames.shape[:2]
        outputs = self.body(frames.flatten(0, 1))
        source = self.vistr.input_proj(outputs[-1])
        height, width = source.shape[-2:]
        outside = None
        if padding is not None:
            small = F.interpolate(padding[:, None].float(), size=(height, width))
            outside = small.bool().expand(-1, length, -1, -1)
            present = ~outside
        else:
            present = torch.ones(1, length, height, width, dtype=torch.bool, device=source.device)
        places = encode_places(present, self.channels).flatten(1, 3)
        positions = source.unflatten(0, (count, length)).movedim(2, -1).flatten(1, 3)
        decoded, memory = self.vistr.transformer(
            positions,
            places.to(source.dtype),
            self.vistr.query_embed.weight,
            outside.flatten(1) if outside is not None else None,
        )
        decoded = decoded.unflatten(2, (length, self.num_instances))
        shape = (length, height, width)
        return Tubes(
            logits=self.vistr.class_embed(decoded).float(),
            boxes=self.vistr.bbox_embed(decoded).float(),
            queries=decoded[-1],
            memory=memory.unflatten(1, shape).movedim(-1, 2),
            features=[each.unflatten(0, (count, length)) for each in outputs[2::-1]],
            padding=outside,
        )

    def draw(
        self, tubes: Tubes, clip: int | None = None, chosen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits of masks, ``(N, T, K, H / 4, W / 4)``.

        An instance's mask does not depend on other instances, so that some can be left out.

        Args:
            tubes: what :meth:`detect` found.
            clip: draw only the tubes of this one, so that ``N`` is 1; None for all.
            chosen: indices of the ``K`` tubes to draw; None for all.
        """
        part = slice(None) if clip is None else slice(clip, clip + 1)
        queries = tubes.queries[part]
        if chosen is not None:
            queries = queries[:, :, chosen]
        drawn = []
        # Frame by frame, as the features of all instances of all frames would take much memory.
        for time in range(queries.shape[1]):
            memory = tubes.memory[part, time]
            outside = tubes.padding[part, time] if tubes.padding is not None else None
            maps = self.bbox_attention(queries[:, time], memory, outside)
            features = [each[part, time] for each in tubes.features]
            drawn.append(self.mask_head(memory, maps, features))
        instances = torch.stack(drawn, dim=3)  # (N, K, C, T, H, W)
        masks = self.insmask_head(instances.flatten(0, 1))[:, 0].float()
        return masks.unflatten(0, instances.shape[:2]).movedim(2, 1)
