"""The public code of STCN (https://github.com/hkchengrex/STCN) on a clip, to time it beside ours.

That code is not part of this project: the user names a checkout of it. It is driven as its own
``InferenceCore`` does, but on the CPU, and with random weights.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torchvision

from vps_d2.evaluation.vos_benchmark import (
    KEY_SCALE,
    MEMORY_EVERY,
    REMEMBER,
    Clip,
    Follower,
    Steps,
)
from vps_d2.io.errors import UserError

__all__ = ["PublicFollower"]

_PARTS = ("model", "util", "inference_memory_bank")
_STRIDE = 16
_TOP_K = 20


class PublicFollower(Follower):
    """The public network with its memory, which keeps every frame that it remembers.

    Args:
        code: folder of a checkout.
        clip: to follow.

    Raises:
        UserError: if the folder does not hold that code.
    """

    def __init__(self, code: Path, clip: Clip) -> None:
        self.clip = clip
        try:
            with _importable(code):
                network = _build_network()
                self._aggregate = importlib.import_module("model.aggregate").aggregate
                self._pad = importlib.import_module("util.tensor_util").pad_divide_by
                memory = importlib.import_module("inference_memory_bank").MemoryBank
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"{code} does not hold the public code of STCN ({error}); name a checkout of "
                "github.com/hkchengrex/STCN."
            ) from error
        self._network, self._memory = network, memory(k=len(clip.numbers), top_k=_TOP_K)
        numbers = torch.tensor(clip.numbers)[:, None, None, None]
        masks = (torch.from_numpy(clip.object_map) == numbers).float()
        self._masks = self._aggregate(self._pad(masks, _STRIDE)[0], keep_bg=True)[1:]
        with torch.inference_mode():
            self._remember(0, self._encode(0), self._masks)

    def follow(self, index: int) -> None:
        """Find the objects in a frame; see the base class."""
        features = self._encode(index)
        key, thin, _, middle, fine = features
        found = self._network.segment_with_query(self._memory, middle, fine, key, thin)
        probabilities = self._aggregate(found, keep_bg=True)
        if index % MEMORY_EVERY == 0:
            self._remember(index, features, probabilities[1:])

    def steps(self) -> Steps:
        """Return the parts of that work."""
        network, frame = self._network, self._frame(0)
        key, thin, coarse, middle, fine = network.encode_key(frame)
        thin = thin.expand(len(self.clip.numbers), -1, -1, -1)
        readout = torch.cat([self._memory.match_memory(key), thin], 1)
        return {
            "encode key": lambda: network.encode_key(frame),
            "read memory": lambda: self._memory.match_memory(key),
            "decode": lambda: torch.sigmoid(network.decoder(readout, middle, fine)),
            REMEMBER: lambda: network.encode_value(frame, coarse, self._masks),
        }

    def _frame(self, index: int) -> torch.Tensor:
        pixels = torch.from_numpy(self.clip.frames[index]).permute(2, 0, 1)[None]
        frame: torch.Tensor = self._pad((pixels - 118.0) / 58.0, _STRIDE)[0]
        return frame

    def _encode(self, index: int) -> Any:
        return self._network.encode_key(self._frame(index))

    def _remember(self, index: int, features: Any, masks: torch.Tensor) -> None:
        values = self._network.encode_value(self._frame(index), features[2], masks)
        self._memory.add_memory(features[0].unsqueeze(2), values)


def _build_network() -> Any:
    """Build the public network; the weights that it would load from the web are left out."""
    blocks: Any = importlib.import_module("model.mod_resnet")
    blocks.load_weights_sequential = lambda *_: None
    blocks.model_zoo = SimpleNamespace(load_url=lambda _: {})
    resnet50 = torchvision.models.resnet50
    torchvision.models.resnet50 = lambda pretrained=False: resnet50(weights=None)  # type: ignore[assignment]
    try:
        torch.manual_seed(0)
        network = importlib.import_module("model.eval_network").STCN().eval()
    finally:
        torchvision.models.resnet50 = resnet50
    network.key_proj.key_proj.weight.data *= KEY_SCALE
    return network


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the modules of the public code be imported, and none of them stay known by its name."""

    def parts() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] in _PARTS]

    kept = {name: sys.modules.pop(name) for name in parts()}
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        for name in parts():
            del sys.modules[name]
        sys.modules.update(kept)
