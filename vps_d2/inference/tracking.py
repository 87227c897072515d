"""Online tracking: the instances of one frame after another get identities that stay.

Whatever segments the frames, its instances are compared with the tracks known so far, and the best
pairs are taken (the assignment problem, solved by SciPy):

- with learned ``embeddings`` by their similarity in both directions, as in IDOL (arXiv 2207.10661)
  and CTVIS (arXiv 2307.12616), and a memory of each track that follows what is surely it;
- without, by where the masks overlap once the track has moved on, by the colors inside them, and
  by class.

Shapes: ``K`` instances, ``M`` tracks, ``D`` numbers that describe an instance, ``P`` pixels of a
mask made small.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from vps_d2.d2.structures import Instances
from vps_d2.data.tubes import elect_class

DESCRIPTIONS = ("embeddings", "appearance")
"""Fields of instances that say what they look like; the first one that there is counts."""

_ROWS = 96  # of the masks that are compared
_BINS = 8  # of each color channel
_DUPLICATE = 0.7  # overlap (IoU) of two masks that are one object
_RIVAL = 0.15  # overlap (IoU) from which on they compete
_COVERED = 0.7  # share of a mask that better ones may cover
_TEMPERATURE = 10.0  # of the softmax over cosine similarities
_MOMENTUM = 0.2  # share of a new description in the memory of a track
_SPEED_MOMENTUM = 0.5
_MAX_STEPS = 3  # frames that a lost track is assumed to move on


@dataclass
class _Track:
    number: int
    last_seen: int
    mask: np.ndarray  # (rows, columns), small
    center: np.ndarray  # x, y in pixels of the small mask
    size: float  # square root of the area in these pixels
    speed: np.ndarray  # the same a frame
    description: np.ndarray | None  # (D,)
    votes: dict[int, float]  # sum of scores by class

    @property
    def best_class(self) -> int:
        return elect_class(self.votes)


class Tracker:
    """Give the instances of each frame the identities of the objects that they show.

    The memory needed does not grow with the length of a video: tracks that were lost for too long
    are forgotten, and an object that comes back later opens a new track.

    Args:
        min_match: similarity, 0-1, below which an instance is not the object of a track.
        min_new_score: an instance with a lower score continues a track, but opens none.
        memory: frames for which a lost track can be found again.
    """

    def __init__(
        self, *, min_match: float = 0.4, min_new_score: float = 0.5, memory: int = 30
    ) -> None:
        self.min_match = min_match
        self.min_new_score = min_new_score
        self.memory = memory
        self._tracks: list[_Track] = []
        self._frame = -1
        self._opened = 0

    def step(self, instances: Instances) -> Instances:
        """Track the instances of the next frame.

        Args:
            instances: with ``pred_masks`` bool ``(K, H, W)``, ``pred_classes`` and ``scores``
                ``(K,)``; ``embeddings`` or ``appearance`` float ``(K, D)`` if there are any.

        Returns:
            those that belong to a track, in descending order of score, with ``track_ids`` int64,
            counted from 1 in the order in which tracks begin. Of several instances of one object,
            one is left.
        """
        track_ids = np.array(self.assign(instances), np.int64)
        order = np.argsort(-_numpy(instances.scores), kind="stable")
        order = order[track_ids[order] > 0]
        chosen = instances[torch.from_numpy(order)]
        chosen.track_ids = torch.from_numpy(track_ids[order])
        return chosen

    def assign(self, instances: Instances) -> list[int]:
        """Return the track of each instance of the next frame, 0 for one that belongs to none.

        Args:
            instances: see :meth:`step`.
        """
        self._frame += 1
        self._tracks = [t for t in self._tracks if self._frame - t.last_seen <= self.memory]
        seen = _Seen(instances)
        kept, copies = _drop_duplicates(seen)
        matches = self._match(seen, kept)
        track_ids = [0] * len(seen.scores)
        for index in kept:
            track = matches.get(index)
            if track is None:
                if seen.scores[index] < self.min_new_score:
                    continue
                track = self._open(seen, index)
            else:
                self._update(track, seen, index)
            for each in (index, *copies[index]):
                number, score = seen.classes[each], seen.scores[each]
                track.votes[number] = track.votes.get(number, 0.0) + score
            track_ids[index] = track.number
        return track_ids

    def _match(self, seen: "_Seen", kept: list[int]) -> dict[int, _Track]:
        """Return the track of each instance that continues one."""
        if not kept or not self._tracks:
            return {}
        similarity = self._similarities(seen, kept)
        rows, columns = linear_sum_assignment(similarity, maximize=True)
        return {
            kept[row]: self._tracks[column]
            for row, column in zip(rows, columns, strict=True)
            if similarity[row, column] >= self.min_match
        }

    def _similarities(self, seen: "_Seen", kept: list[int]) -> np.ndarray:
        """Return how alike instances and tracks are, ``(K, M)``, 0-1."""
        same_class = np.array(
            [[seen.classes[k] == track.best_class for track in self._tracks] for k in kept], float
        )
        place = self._overlaps(seen, kept)
        if seen.descriptions is None or any(t.description is None for t in self._tracks):
            return 0.7 * place + 0.3 * same_class
        memory = np.stack([t.description for t in self._tracks if t.description is not None])
        cosine = np.clip(seen.descriptions[kept] @ memory.T, 0, 1)
        if seen.learned:
            scaled = np.exp(_TEMPERATURE * (cosine - 1))
            both = (scaled / scaled.sum(0) + scaled / scaled.sum(1, keepdims=True)) / 2
            return 0.4 * both + 0.3 * cosine + 0.2 * place + 0.1 * same_class
        return 0.4 * place + 0.35 * cosine + 0.25 * same_class

    def _overlaps(self, seen: "_Seen", kept: list[int]) -> np.ndarray:
        """Return how well instances lie where tracks should be by now, ``(K, M)``, 0-1."""
        moved = np.stack([self._moved_mask(track).ravel() for track in self._tracks])
        overlap = iou_matrix(seen.masks[kept].reshape(len(kept), -1), moved)
        near = np.zeros_like(overlap)
        for column, track in enumerate(self._tracks):
            steps = self._frame - track.last_seen
            center = track.center + track.speed * min(steps, _MAX_STEPS)
            reach = track.size * (1 + 0.25 * steps)
            distance = np.linalg.norm(seen.centers[kept] - center, axis=1)
            near[:, column] = 0.6 * np.exp(-((distance / max(reach, 1.0)) ** 2))
        return np.maximum(overlap, near)

    def _moved_mask(self, track: _Track) -> np.ndarray:
        steps = min(self._frame - track.last_seen, _MAX_STEPS)
        x, y = track.speed * steps
        if abs(x) < 0.5 and abs(y) < 0.5:
            return track.mask
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
        height, width = track.mask.shape
        return cv2.warpAffine(track.mask, matrix, (width, height), flags=cv2.INTER_NEAREST)

    def _open(self, seen: "_Seen", index: int) -> _Track:
        self._opened += 1
        description = None if seen.descriptions is None else seen.descriptions[index]
        track = _Track(
            *(self._opened, self._frame, seen.masks[index], seen.centers[index]),
            *(seen.sizes[index], np.zeros(2), description, {}),
        )
        self._tracks.append(track)
        return track

    def _update(self, track: _Track, seen: "_Seen", index: int) -> None:
        steps = self._frame - track.last_seen
        speed = (seen.centers[index] - track.center) / steps
        track.speed = track.speed + _SPEED_MOMENTUM * (speed - track.speed)
        track.last_seen, track.mask = self._frame, seen.masks[index]
        track.center, track.size = seen.centers[index], seen.sizes[index]
        if seen.descriptions is not None:
            new = seen.descriptions[index]
            old = new if track.description is None else track.description
            # The less an instance looks like the track, the less the track becomes like it.
            share = _MOMENTUM * max(float(new @ old), 0.0)
            track.description = _unit(old + share * (new - old))


class _Seen:
    """The instances of a frame as the tracker compares them."""

    def __init__(self, instances: Instances) -> None:
        # Everything here is NumPy's: for so little work, PyTorch's threads take longer to start.
        self.masks = masks = shrink_masks(_numpy(instances.pred_masks))
        self.scores = _numpy(instances.scores).astype(float).tolist()
        self.classes: list[int] = _numpy(instances.pred_classes).tolist()
        areas = masks.sum((1, 2))
        self.sizes = np.sqrt(areas)
        rows, columns = np.arange(masks.shape[1]), np.arange(masks.shape[2])
        total = np.maximum(areas, 1)
        x, y = masks.sum(1) @ columns / total, masks.sum(2) @ rows / total
        self.centers = np.stack([x, y], 1)
        self.learned = instances.has("embeddings")
        self.descriptions: np.ndarray | None = None
        for name in DESCRIPTIONS:
            if instances.has(name):
                self.descriptions = _unit(_numpy(instances.get_fields()[name]).astype(np.float64))
                break


def add_appearance(instances: Instances, picture: np.ndarray) -> Instances:
    """Describe instances by the colors inside their masks, for a tracker to compare.

    Args:
        instances: with ``pred_masks`` bool ``(K, H, W)``.
        picture: uint8 RGB ``(H, W, 3)``.

    Returns:
        the instances, with ``appearance`` float32 ``(K, D)``: square roots of the shares of color
        bins, so that the product of two is the Bhattacharyya coefficient.
    """
    masks = _numpy(instances.pred_masks)
    rows = np.zeros((len(masks), 3 * _BINS), np.float32)
    for row, mask in zip(rows, masks, strict=True):
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        if not width:
            continue
        inside = picture[y : y + height, x : x + width][mask[y : y + height, x : x + width]]
        bins = (inside >> 5) + np.arange(0, 3 * _BINS, _BINS, dtype=np.uint8)
        row[:] = np.sqrt(np.bincount(bins.ravel(), minlength=3 * _BINS) / bins.size)
    instances.appearance = torch.from_numpy(rows)
    return instances


def shrink_masks(masks: np.ndarray) -> np.ndarray:
    """Return every n-th row and column of bool masks ``(K, H, W)``, at most 96 rows.

    Returns:
        float32 ``(K, rows, columns)``, 0 or 1; an object that is smaller than n pixels has one.
    """
    step = -(-masks.shape[1] // _ROWS) or 1
    start = min(step // 2, masks.shape[1] - 1, masks.shape[2] - 1)
    small = masks[:, start::step, start::step].astype(np.float32)
    for index in np.flatnonzero(~small.any((1, 2))):
        x, y, width, height = cv2.boundingRect(masks[index].view(np.uint8))
        if width:
            row, column = (y + height // 2) // step, (x + width // 2) // step
            small[index, min(row, small.shape[1] - 1), min(column, small.shape[2] - 1)] = 1
    return small


def iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the overlap (IoU) of each mask ``(K, P)`` with each of ``(M, P)``, ``(K, M)``."""
    # Not a matrix product: for so little work, threads of a BLAS cost more than they bring.
    common = np.einsum("kp,mp->km", first, second)
    union = first.sum(1)[:, None] + second.sum(1)[None] - common
    return common / np.maximum(union, 1e-9)


def _drop_duplicates(seen: _Seen) -> tuple[list[int], dict[int, list[int]]]:
    """Return the instances that are the best of their object, and the others of each of them.

    An instance also goes, and counts for nothing, if better ones that are about as large make up
    most of it: a segmenter tends to see two objects that touch as a third one.
    """
    flat = seen.masks.reshape(len(seen.masks), seen.masks[0].size if len(seen.masks) else 0)
    overlap = iou_matrix(flat, flat)
    kept: list[int] = []
    copies: dict[int, list[int]] = {}
    for index in np.argsort(-np.array(seen.scores), kind="stable").tolist():
        area = flat[index].sum()
        rivals = [k for k in kept if overlap[index, k] > _RIVAL]
        if not area:
            continue
        if rivals:
            first = max(rivals, key=lambda k: overlap[index, k])
            if overlap[index, first] > _DUPLICATE:
                copies[first].append(index)
                continue
            if (flat[rivals].max(0) * flat[index]).sum() > _COVERED * area:
                continue
        kept.append(index)
        copies[index] = []
    return kept, copies


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
