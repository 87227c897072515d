"""Following objects through a video with STCN, one frame after the other.

Shapes: ``H`` rows, ``W`` columns, ``K`` objects. Pictures are uint8 RGB ``(H, W, 3)``; an object
map is uint8 ``(H, W)``, 0 for none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vps_d2.modeling.vos.flow import backward_flow, warp
from vps_d2.modeling.vos.memory import FrameMemory, MemoryBudget
from vps_d2.modeling.vos.network import FrameFeatures, STCNNetwork, aggregate, with_others


class Propagation:
    """The state of one video.

    Args:
        network: on the device to compute on, in evaluation.
        pixel_mean: R, G, B in 0-255, ``(3, 1, 1)``.
        pixel_std: likewise.
        budget: of the memory.
        top_k: cells of the memory that a cell of a frame is read from.
        memory_every: every so many segmented frames, one is remembered.
    """

    def __init__(
        self,
        network: STCNNetwork,
        pixel_mean: torch.Tensor,
        pixel_std: torch.Tensor,
        *,
        budget: MemoryBudget,
        top_k: int,
        memory_every: int,
    ) -> None:
        self.network = network
        self.pixel_mean, self.pixel_std = pixel_mean, pixel_std
        self.memory_every = memory_every
        self.memory = FrameMemory(budget, top_k)
        self._known: list[int] = []
        self._count = 0
        self._picture: np.ndarray | None = None  # the last one, whose features are those below
        self._features: FrameFeatures | None = None
        self._frame = torch.empty(0)
        self._masks: dict[int, torch.Tensor] = {}  # of the last frame, (H, W), padded

    @torch.inference_mode()
    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take in a frame in which it is known where the objects are.

        Args:
            picture: the frame.
            object_map: of the frame; objects that are known but not in it are not visible.
            permanent: never drop it.
        """
        self._encode(picture)
        found = np.unique(object_map)
        self._known = sorted({*self._known, *found[found > 0].tolist()})
        maps = torch.from_numpy(np.ascontiguousarray(object_map)).to(self._frame.device)
        self._masks = {
            number: self.pad((maps == number).float()[None, None])[0, 0] for number in self._known
        }
        self._remember(self._known, permanent)

    @torch.inference_mode()
    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> torch.Tensor:
        """Find objects in the next frame.

        Args:
            picture: the frame.
            objects: their numbers.

        Returns:
            probabilities float32 ``(K + 1, H, W)``, background first.
        """
        last_picture = self._picture
        features = self._encode(picture)
        size, cells = self._frame.shape[-2:], features.key.shape[-2:]
        found = self.memory.read(features.key[0].flatten(1), objects)
        known = [number for number in objects if number in found]
        own = torch.zeros(len(objects), *size, device=self._frame.device)
        if known:
            readout = torch.stack([found[number].T.unflatten(1, cells) for number in known])
            last = None
            if self.network.decoder.follows and last_picture is not None:
                last = self._follow(picture, last_picture, known)
            logits = self.network.decode(readout, features, last)[:, 0]
            places = torch.tensor([objects.index(number) for number in known])
            own[places.to(own.device)] = logits.sigmoid()
        probabilities = aggregate(own).softmax(0)
        self._masks = dict(zip(objects, probabilities[1:], strict=True))
        self._count += 1
        if known and self._count % self.memory_every == 0:
            self._remember(known, permanent=False)
        return self.crop(probabilities, picture.shape[:2])

    @torch.inference_mode()
    def encode(self, picture: np.ndarray) -> tuple[torch.Tensor, FrameFeatures]:
        """Encode a picture, unless it is the last one; that stays the last one.

        Args:
            picture: the frame.

        Returns:
            the frame, normalized and padded on all sides to whole cells, ``(1, 3, H, W)``, and its
            features.
        """
        if self._features is not None and _same(self._picture, picture):
            return self._frame, self._features
        frame = self._normalize(picture)
        return frame, self.network.encode_key(frame)

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """Pad ``(N, C, H, W)`` by zeros on all sides to whole cells."""
        top, bottom, left, right = self._margins(x.shape[-2], x.shape[-1])
        return F.pad(x, (left, right, top, bottom))

    def crop(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Take away what :meth:`pad` added to ``(..., H, W)`` of a size."""
        top, _, left, _ = self._margins(*size)
        return x[..., top : top + size[0], left : left + size[1]]

    def forget_frames(self) -> None:
        """Drop all frames that are not permanent."""
        self.memory.forget_frames()
        self._count = 0

    def state(self) -> dict[str, Any]:
        """Return all that is known: tensors, numbers, and lists and mappings of them."""
        picture = None if self._picture is None else torch.from_numpy(self._picture)
        return {
            "memory": self.memory.state(),
            "known": list(self._known),
            "count": self._count,
            "picture": picture,
            "masks": dict(self._masks),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what :meth:`state` returned."""
        self.memory.set_state(state["memory"])
        self._known, self._count = list(state["known"]), state["count"]
        self._picture = None
        if state["picture"] is not None:
            with torch.inference_mode():
                self._encode(state["picture"].numpy())
        self._masks = dict(state["masks"])

    def _encode(self, picture: np.ndarray) -> FrameFeatures:
        """Return the features of a picture, which becomes the last one."""
        self._frame, self._features = self.encode(picture)
        self._picture = picture.copy()
        return self._features

    def _normalize(self, picture: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        pixels = pixels.to(self.pixel_mean.device)
        return self.pad((pixels - self.pixel_mean)[None] / self.pixel_std)

    def _remember(self, objects: Sequence[int], permanent: bool) -> None:
        """Remember the last picture with its masks."""
        if not objects:
            return
        features = self._features
        assert features is not None
        masks = with_others(torch.stack([self._masks[number] for number in objects]))
        values = self.network.encode_value(self._frame, features.coarse, masks).float()
        cells = values.flatten(2).transpose(1, 2).contiguous()
        by_number = dict(zip(objects, cells.unbind(), strict=True))
        self.memory.add(features.key[0].flatten(1), by_number, permanent)

    def _follow(
        self, picture: np.ndarray, last_picture: np.ndarray, objects: Sequence[int]
    ) -> torch.Tensor | None:
        """Return the masks of the last frame as the decoder takes them; None if there are none."""
        height, width = self._frame.shape[-2:]
        if last_picture.shape != picture.shape or not self._masks:
            return None
        numbers = list(self._masks)
        flow = self.pad(backward_flow(picture, last_picture)[None].to(self._frame.device))
        moved = warp(with_others(torch.stack([self._masks[each] for each in numbers])), flow)
        last = moved.new_zeros(len(objects), 3, height, width)
        for place, number in enumerate(objects):
            if number in self._masks:
                last[place, :2] = moved[numbers.index(number)]
                last[place, 2] = 1
        return last

    def _margins(self, height: int, width: int) -> tuple[int, int, int, int]:
        rows, columns = -height % self.network.stride, -width % self.network.stride
        return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2


def _same(first: np.ndarray | None, second: np.ndarray) -> bool:
    return first is not None and np.array_equal(first, second)
