"""Find out why a mask of ObjectDynamics is wrong, by repairing one cause after the other.

The input masks become true ones (segmentation), objects that meet no other after the last input
frame are drawn at their true places (motion without contact), then those that do (motion after
contact), then true masks replace drawn ones (drawing). What is still missing was never seen in the
input.

Shapes: ``T`` frames, ``K`` objects, ``H`` rows, ``W`` columns; masks are uint8 with class numbers
0-48.
"""

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import torch

from vps_d2.data.paths import ObjectPath
from vps_d2.data.tracks import read_outlines
from vps_d2.modeling.object_dynamics.architecture import ObjectDynamics
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.network import Future
from vps_d2.modeling.object_dynamics.tracks import Tracks, masks_to_tracks
from vps_d2.modeling.outputs import output_to_paths

CAUSES = (
    "segmentation",
    "motion without contact",
    "motion after contact",
    "drawing",
    "objects never seen",
)
_UNKNOWN = 255
_CONTACT = 0.95
"""Distance in meters between the centers of two objects below which they count as touching."""
_MARGIN = 12
"""Pixels around a true outline, in a picture 240 wide, in which a drawn one is compared."""
_REACH = 8
"""The largest shift of a drawn outline in each iteration, in the same pixels."""
_MAX_ROUNDS = 5


class Repairs(NamedTuple):
    """Masks of the predicted frame of one video, each with one more cause repaired.

    Attributes:
        masks: as predicted, and after each of the first four of CAUSES, five of ``(H, W)``.
        truth: the true one, ``(H, W)``.
        num_without_contact: objects of the true mask that meet no other.
        num_with_contact: those that do.
        num_never_seen: those that are in no true input mask.
        paths: of the objects, as predicted.
    """

    masks: list[np.ndarray]
    truth: np.ndarray
    num_without_contact: int
    num_with_contact: int
    num_never_seen: int
    paths: Sequence[ObjectPath] = ()


@torch.inference_mode()
def repair(
    model: ObjectDynamics,
    segmented: np.ndarray,
    masks: np.ndarray,
    num_known: int,
    precision: AbstractContextManager,
) -> Repairs:
    """Repair the prediction of one video, cause by cause.

    Args:
        model: in inference mode.
        segmented: masks of the input frames, ``(T_in, H, W)``.
        masks: true ones of all frames, ``(T, H, W)``.
        num_known: number of known frames; the input ends with the last of them.
        precision: context that the network runs in.
    """
    target = model.clip.target_frames(num_known)[-1]
    truth = masks[target]
    known = masks[model.clip.input_frames(num_known)]
    inputs = torch.from_numpy(np.ascontiguousarray(known))
    tracks = model.to_device(masks_to_tracks([inputs]))
    with precision:
        output = model([{"masks": torch.from_numpy(segmented)}])[0]
        future = model.network(tracks, target + 1 - num_known)
    meeting = find_contacts(model.network.camera, masks[num_known - 1 : target + 1])
    places = _find_places(model, tracks, future, truth)
    apart = {number: place for number, place in places.items() if number not in meeting}
    there = [number for number in np.unique(truth).tolist() if number]
    seen = set(np.unique(masks[:num_known]).tolist())
    drawn = [
        _draw_repaired(model, tracks, future, truth.shape, repaired)
        for repaired in ({}, apart, places)
    ]
    true_seen = np.where(np.isin(truth, list(seen)), truth, 0)
    return Repairs(
        masks=[output["mask"].cpu().numpy(), *drawn, true_seen],
        truth=truth,
        num_without_contact=sum(n in seen and n not in meeting for n in there),
        num_with_contact=sum(n in seen and n in meeting for n in there),
        num_never_seen=sum(n not in seen for n in there),
        paths=output_to_paths(output),
    )


def find_contacts(camera: GroundCamera, masks: np.ndarray) -> set[int]:
    """Return the class numbers of objects that come close to another one.

    Args:
        camera: of the videos.
        masks: true ones, ``(T, H, W)``; objects are where the middle of their outline is, on a
            straight line between frames.
    """
    class_ids, outlines = read_outlines(masks)
    middles = torch.from_numpy((outlines[..., 3:5] + outlines[..., 5:7]) / 2)
    middles = middles.to(camera.pitch.device)
    heights = torch.full_like(middles[..., 0], CENTER_HEIGHT)
    places = camera.to_ground(middles, heights).detach().cpu().numpy()
    seen = outlines[..., 0] > 0
    meeting: set[int] = set()
    for first, second in itertools.combinations(range(len(class_ids)), 2):
        both = seen[first] & seen[second]
        both = both[1:] & both[:-1]
        apart = places[second] - places[first]
        if both.any() and _closest(apart[:-1][both], apart[1:][both]).min() < _CONTACT:
            meeting |= {int(class_ids[first]), int(class_ids[second])}
    return meeting


def _closest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return how near lines from ``start`` to ``end``, ``(T, 2)``, come to the origin."""
    along = end - start
    share = -(start * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    return np.linalg.norm(start + np.clip(share, 0, 1)[:, None] * along, axis=-1)


def _draw_repaired(
    model: ObjectDynamics,
    tracks: Tracks,
    future: Future,
    size: tuple[int, ...],
    repaired: dict[int, torch.Tensor | None],
) -> np.ndarray:
    """Return the predicted mask with objects, by class number, at their true places."""
    places, shown = (each[:, :, 0].clone() for each in model.futures(future, slice(-1, None)))
    for number, class_id in enumerate(tracks.class_ids[0].tolist()):
        if class_id in repaired:
            place = repaired[class_id]
            shown[0, number] = place is not None
            if place is not None:
                places[0, number] = place
    painted = model.network.drawing.paint(
        future.state,
        tracks.class_ids,
        places,
        future.trajectory.orientations[:, :, -1],
        shown,
        model.network.camera,
        (size[0], size[1]),
    )
    mask: np.ndarray = painted[0].cpu().numpy()
    return mask


def _find_places(
    model: ObjectDynamics, tracks: Tracks, future: Future, truth: np.ndarray
) -> dict[int, torch.Tensor | None]:
    """Return the true place of each object of the tracks by class number, None if it is gone."""
    return {
        class_id: _find_place(model, future, number, class_id, truth)
        if (truth == class_id).any()
        else None
        for number, class_id in enumerate(tracks.class_ids[0].tolist())
        if class_id
    }


def _find_place(
    model: ObjectDynamics, future: Future, number: int, class_id: int, truth: np.ndarray
) -> torch.Tensor:
    """Return the place at which an object, drawn, covers its true mask best."""
    network, device = model.network, model.device
    height, width = truth.shape
    scale = width / 240
    reach, margin = round(_REACH * scale), round(_MARGIN * scale)
    rows, columns = np.nonzero(truth == class_id)
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()]) + 1
    # Nothing is known about what lies outside the picture, or behind other objects.
    padded = np.pad(truth, margin, constant_values=_UNKNOWN)
    window = padded[low[1] : high[1] + 2 * margin, low[0] : high[0] + 2 * margin]
    true, free = window == class_id, (window == class_id) | (window == 0)
    middle = np.array([width, height]) / 2
    size = (high - low) + 2 * (margin + reach)
    axes = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    grid = np.stack(axes, axis=-1) + low - margin - reach
    points = torch.from_numpy((grid.reshape(-1, 2) + 0.5 - middle) / width).float().to(device)
    state = type(future.state)(*(each[:, number] for each in future.state))
    orientation = future.trajectory.orientations[:, number, -1]
    center = (low + high) / 2
    for _ in range(_MAX_ROUNDS):
        seen = torch.from_numpy((center - middle) / width).float().to(device)
        place = network.camera.to_ground(seen, seen.new_tensor(CENTER_HEIGHT))
        described = network.drawing.describe(state, place[None], orientation, network.camera)
        drawn = (network.drawing(described, points[None])[0] > 0).reshape(*size[::-1])
        shift = _best_shift(drawn.cpu().numpy(), true, free, reach)
        if not shift.any():
            break
        center = center + shift
    return place


def _best_shift(drawn: np.ndarray, true: np.ndarray, free: np.ndarray, reach: int) -> np.ndarray:
    """Return the shift in pixels, x and y, with which an outline covers another one best.

    Args:
        drawn: bool ``(h + 2 reach, w + 2 reach)``, with the window in its middle.
        true: the other one, bool ``(h, w)``.
        free: pixels that count.
        reach: largest shift.
    """
    height, width = true.shape
    best, shift = -1.0, np.zeros(2, np.int64)
    for down, right in sorted(
        itertools.product(range(-reach, reach + 1), repeat=2),
        key=lambda each: each[0] ** 2 + each[1] ** 2,
    ):
        top, left = reach - down, reach - right
        moved = drawn[top : top + height, left : left + width] & free
        overlap = np.count_nonzero(moved & true) / np.count_nonzero(moved | true)
        if overlap > best:
            best, shift = overlap, np.array([right, down])
    return shift
