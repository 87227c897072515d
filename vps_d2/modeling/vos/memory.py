"""A memory of frames that does not grow: the least used is dropped, as in XMem (arXiv 2207.07115).

Frames that the user gave are kept for ever. Of the others, the latest are kept whole. When there
are too many, the most used cells of the older ones become prototypes, which take over the values of
all cells like them (section 3.3.1, "potentiation"); of the prototypes, the most used are kept.

Shapes: ``C`` channels of a key, ``V`` of a value, ``M`` cells in memory, ``Q`` cells of a frame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vps_d2.modeling.vos.matching import best_matches, read_best, similarity
from vps_d2.modeling.vos.network import KEY_CHANNELS

_KINDS = ("permanent", "prototypes", "frames")


@dataclass(frozen=True)
class MemoryBudget:
    """How much is remembered.

    Args:
        frames: whole frames besides permanent ones.
        latest: how many of them stay whole when the others become prototypes.
        frame_prototypes: prototypes made from each such frame.
        prototypes: most prototypes of all.
    """

    frames: int = 8
    latest: int = 4
    frame_prototypes: int = 128
    prototypes: int = 2048


@dataclass
class _Part:
    """Cells that are remembered together, of a frame or prototypes.

    Attributes:
        keys: float32 ``(C, M)``.
        values: of each object that is known in all these cells, float32 ``(M, V)``.
        use: how much of what was read came from each cell, ``(M,)``.
        age: frames read since each cell is remembered, ``(M,)``.
    """

    keys: torch.Tensor
    values: dict[int, torch.Tensor]
    use: torch.Tensor = field(init=False)
    age: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.use = torch.zeros(self.keys.shape[1], device=self.keys.device)
        self.age = torch.zeros_like(self.use)

    @property
    def rate(self) -> torch.Tensor:
        """How much each cell is used, per frame."""
        return self.use / self.age.clamp(min=1)

    def state(self) -> dict[str, Any]:
        """Return all attributes, as :meth:`from_state` takes them."""
        return {"keys": self.keys, "values": self.values, "use": self.use, "age": self.age}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "_Part":
        """Return the part with a state."""
        part = cls(state["keys"], dict(state["values"]))
        part.use, part.age = state["use"], state["age"]
        return part

    def keep(self, cells: torch.Tensor) -> None:
        """Drop all cells but some, given by index."""
        self.keys = self.keys[:, cells]
        self.values = {number: value[cells] for number, value in self.values.items()}
        self.use, self.age = self.use[cells], self.age[cells]

    def extend(self, other: "_Part") -> None:
        """Append the cells of a part that knows the same objects."""
        self.keys = torch.cat([self.keys, other.keys], 1)
        self.values = {
            number: torch.cat([value, other.values[number]])
            for number, value in self.values.items()
        }
        self.use = torch.cat([self.use, other.use])
        self.age = torch.cat([self.age, other.age])


class FrameMemory:
    """What is known of the objects of a video.

    Args:
        budget: how much is remembered.
        top_k: cells of the memory that a cell of a frame is read from.
    """

    def __init__(self, budget: MemoryBudget, top_k: int) -> None:
        self.budget = budget
        self.top_k = top_k
        self.permanent: list[_Part] = []
        self.frames: list[_Part] = []
        self.prototypes: list[_Part] = []
        # The parts that know an object, joined to be read: made again when anything changes.
        self._joined: dict[tuple[int, ...], _Part] = {}

    @property
    def objects(self) -> list[int]:
        """The numbers of all objects that are known from some frame."""
        return sorted({number for part in self._parts() for number in part.values})

    @property
    def num_cells(self) -> int:
        """``M``, over all parts."""
        return sum(part.keys.shape[1] for part in self._parts())

    def forget_frames(self) -> None:
        """Drop all that is not permanent."""
        self._joined.clear()
        self.frames, self.prototypes = [], []

    def state(self) -> dict[str, Any]:
        """Return all that is remembered: tensors, in lists and mappings."""
        self._settle_use()
        return {name: [part.state() for part in getattr(self, name)] for name in _KINDS}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Remember what :meth:`state` returned, instead of what is remembered now."""
        self._joined.clear()
        for name in _KINDS:
            setattr(self, name, [_Part.from_state(part) for part in state[name]])

    def add(
        self,
        keys: torch.Tensor,
        values: Mapping[int, torch.Tensor],
        permanent: bool = False,
    ) -> None:
        """Remember a frame.

        Args:
            keys: ``(C, Q)``.
            values: of the objects that are known in the frame, ``(Q, V)``, by their numbers.
            permanent: never drop it.
        """
        self._settle_use()
        part = _Part(keys, dict(values))
        if permanent:
            self.permanent.append(part)
            return
        self.frames.append(part)
        if len(self.frames) > self.budget.frames:
            self._consolidate()

    def read(self, keys: torch.Tensor, objects: Iterable[int]) -> dict[int, torch.Tensor]:
        """Read the values of objects for a frame.

        Args:
            keys: of the frame, ``(C, Q)``.
            objects: their numbers.

        Returns:
            float32 ``(Q, V)`` by number, for the objects that are known.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        parts = self._parts()
        for number in objects:
            sources = tuple(i for i, part in enumerate(parts) if number in part.values)
            if sources:
                groups.setdefault(sources, []).append(number)
        found = {}
        for sources, numbers in groups.items():
            joined = self._join(sources, [parts[index] for index in sources])
            likeness = similarity(joined.keys[None], keys[None], KEY_CHANNELS)[0]
            weights, cells = best_matches(likeness, self.top_k)
            joined.use.index_add_(0, cells.flatten(), weights.flatten())
            joined.age += 1
            for number in numbers:
                found[number] = read_best(weights, cells, joined.values[number])
        return found

    def _parts(self) -> list[_Part]:
        return [*self.permanent, *self.prototypes, *self.frames]

    def _join(self, sources: tuple[int, ...], parts: list[_Part]) -> _Part:
        if sources not in self._joined:
            common = set.intersection(*(set(part.values) for part in parts))
            values = {n: torch.cat([part.values[n] for part in parts]) for n in common}
            self._joined[sources] = _Part(torch.cat([part.keys for part in parts], 1), values)
        return self._joined[sources]

    def _settle_use(self) -> None:
        """Credit what was read from joined parts to the parts, which are about to change."""
        parts = self._parts()
        for sources, joined in self._joined.items():
            sizes = [parts[index].keys.shape[1] for index in sources]
            uses, ages = joined.use.split(sizes), joined.age.split(sizes)
            for index, use, age in zip(sources, uses, ages, strict=True):
                # Not in place, because a state that was returned must not change.
                parts[index].use = parts[index].use + use
                parts[index].age = parts[index].age + age
        self._joined.clear()

    def _consolidate(self) -> None:
        """Make prototypes of all whole frames but the latest."""
        old = self.frames[: -self.budget.latest]
        self.frames = self.frames[-self.budget.latest :]
        for known in {tuple(sorted(part.values)) for part in old}:
            candidates = [part for part in old if tuple(sorted(part.values)) == known]
            self._add_prototypes(candidates)
        self._drop_least_used()

    def _add_prototypes(self, parts: list[_Part]) -> None:
        """Make prototypes of frames that know the same objects."""
        whole = _Part(parts[0].keys, dict(parts[0].values))
        whole.use, whole.age = parts[0].use, parts[0].age
        for part in parts[1:]:
            whole.extend(part)
        count = min(self.budget.frame_prototypes * len(parts), whole.keys.shape[1])
        best = whole.rate.topk(count).indices
        made = _Part(whole.keys[:, best], {})
        made.use, made.age = whole.use[best], whole.age[best]
        likeness = similarity(whole.keys[None], made.keys[None], KEY_CHANNELS)[0]
        weights, cells = best_matches(likeness, self.top_k)
        made.values = {n: read_best(weights, cells, v) for n, v in whole.values.items()}
        for present in self.prototypes:
            if present.values.keys() == made.values.keys():
                present.extend(made)
                return
        self.prototypes.append(made)

    def _drop_least_used(self) -> None:
        rates = [part.rate for part in self.prototypes]
        if sum(map(len, rates)) <= self.budget.prototypes:
            return
        kept = torch.zeros(sum(map(len, rates)), dtype=torch.bool, device=rates[0].device)
        kept[torch.cat(rates).topk(self.budget.prototypes).indices] = True
        for part, flags in zip(self.prototypes, kept.split([len(r) for r in rates]), strict=True):
            part.keep(flags.nonzero().flatten())
        self.prototypes = [part for part in self.prototypes if part.keys.shape[1]]
