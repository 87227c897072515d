"""What is exported of STCN: what follows objects from frame to frame, in four steps.

``key`` encodes a frame, ``value`` objects in it, to be remembered, ``read`` reads the memory for
the next frame, and ``decode`` makes masks of what was read. Which frames are remembered, and the
optical flow that moves the last masks on, are up to the caller.

Shapes: ``N`` frames, ``K`` objects, ``H`` rows and ``W`` columns, ``h`` and ``w`` those of cells,
``M`` cells in the memory.
"""

from collections.abc import Callable

import torch
from torch import nn

from vps_d2.inference.export.made_inputs import made_pictures
from vps_d2.inference.export.steps import Shape, Sizes, Step, Tensors
from vps_d2.inference.models import LoadedModel
from vps_d2.modeling.vos.architecture import STCN
from vps_d2.modeling.vos.matching import similarity
from vps_d2.modeling.vos.network import KEY_CHANNELS, FrameFeatures


class _Key(nn.Module):
    def __init__(self, model: STCN) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor) -> Tensors:
        found = self.model.network.encode_key(self.model.normalize(frames))
        return found.key, found.thin, found.coarse, found.middle, found.fine


class _Value(nn.Module):
    def __init__(self, model: STCN) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, frame: torch.Tensor, coarse: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        return self.model.network.encode_value(self.model.normalize(frame), coarse, masks)


class _Read(nn.Module):
    """Reads for each cell of a frame from the cells of the memory that are most alike."""

    def __init__(self, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k

    def forward(
        self, memory_keys: torch.Tensor, memory_values: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        likeness = similarity(memory_keys[None], key.flatten(2), KEY_CHANNELS)[0]
        best, cells = likeness.topk(self.top_k, dim=1)
        read = (memory_values[:, :, cells] * best.softmax(1)).sum(-1)
        return read.unflatten(2, key.shape[-2:])


class _Decode(nn.Module):
    def __init__(self, model: STCN) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        readout: torch.Tensor,
        thin: torch.Tensor,
        middle: torch.Tensor,
        fine: torch.Tensor,
        last: torch.Tensor | None = None,
    ) -> torch.Tensor:
        known = FrameFeatures(thin, thin, thin, middle, fine)  # key and coarse are not decoded
        logits = self.model.network.decode(readout, known, last)
        return logits[:, 0].sigmoid()


def stcn_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of STCN."""
    model = loaded.model
    assert isinstance(model, STCN)
    key, stride = _Key(model).eval(), model.network.stride
    with torch.no_grad():
        parts = [each.shape[1] for each in key(made_pictures(1, 2 * stride, 2 * stride))]
    c_key, c_thin, c_coarse, c_middle, c_fine = parts
    values = model.network.value_channels
    sides: Shape = ("H", "W")

    def encode(sizes: Sizes) -> tuple[torch.Tensor, Tensors]:
        frame = made_pictures(1, sizes.height, sizes.width)
        with torch.no_grad():
            return frame, key(frame)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))

    def make_value(sizes: Sizes) -> Tensors:
        frame, features = encode(sizes)
        return frame, features[2], random(sizes.number, 2, *sizes[1:])

    def make_read(sizes: Sizes) -> Tensors:
        _, features = encode(sizes)
        memory = features[0][0].flatten(1).repeat(1, sizes.number)
        memory = memory + 0.1 * random(*memory.shape)
        return memory, random(sizes.number, values, memory.shape[1]), features[0]

    def make_decode(sizes: Sizes) -> Tensors:
        _, (found, thin, _, middle, fine) = encode(sizes)
        last = (random(sizes.number, 3, *sizes[1:]),) if model.network.decoder.follows else ()
        return (random(sizes.number, values, *found.shape[-2:]), thin, middle, fine, *last)

    decoded: dict[str, Shape] = {
        "readout": ("K", values, "h", "w"),
        "thin": (1, c_thin, "h", "w"),
        "middle": (1, c_middle, "h2", "w2"),
        "fine": (1, c_fine, "h4", "w4"),
    }
    if model.network.decoder.follows:
        decoded["last"] = ("K", 3, *sides)
    steps = [
        (
            "key",
            key,
            {"frames": ("N", 3, *sides)},
            {
                "key": ("N", c_key, "h", "w"),
                "thin": ("N", c_thin, "h", "w"),
                "coarse": ("N", c_coarse, "h", "w"),
                "middle": ("N", c_middle, "h2", "w2"),
                "fine": ("N", c_fine, "h4", "w4"),
            },
            lambda sizes: (made_pictures(*sizes),),
        ),
        (
            "value",
            _Value(model),
            {"frame": (1, 3, *sides), "coarse": (1, c_coarse, "h", "w"), "masks": ("K", 2, *sides)},
            {"values": ("K", values, "h", "w")},
            make_value,
        ),
        (
            "read",
            _Read(model.top_k),
            {
                "memory_keys": (c_key, "M"),
                "memory_values": ("K", values, "M"),
                "key": (1, c_key, "h", "w"),
            },
            {"readout": ("K", values, "h", "w")},
            make_read,
        ),
        ("decode", _Decode(model), decoded, {"masks": ("K", *sides)}, make_decode),
    ]
    return [_step(*each, model) for each in steps]  # type: ignore[arg-type]


def _step(
    name: str,
    network: nn.Module,
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    make: Callable[[Sizes], Tensors],
    model: STCN,
) -> Step:
    def reference(*tensors: torch.Tensor) -> Tensors:
        found = network(*tensors)
        return found if isinstance(found, tuple) else (found,)

    about = f"Rows and columns are multiples of {model.network.stride}; pad frames and masks by 0."
    if name == "read":
        about += f" The memory has at least {model.top_k} cells."
    stride = model.network.stride

    def given(pictures: torch.Tensor) -> Tensors:
        height, width = (side // stride * stride for side in pictures.shape[-2:])
        return (pictures[:1, :, :height, :width],)

    return Step(
        *(name, network, inputs, outputs, make, reference, stride),
        about=about,
        given=given if name == "key" else None,
    )
