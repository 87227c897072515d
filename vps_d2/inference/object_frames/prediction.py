"""From the objects that a mask predictor follows to predicted frames.

Shapes: ``K`` objects, ``T_in`` input and ``T`` predicted frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vps_d2.inference.object_frames.renderer import render_frames
from vps_d2.inference.object_frames.scene import SceneMotion, measure_motion, yaws_of
from vps_d2.io.errors import UserError

_NEEDED = {"masks", "class_ids", "places", "probabilities"}
_OPTIONAL = {"orientations"}
_MIN_PROBABILITY = 0.2
"""Of an object being there, below which it casts no shadow either."""


def render_prediction(
    frames: np.ndarray, masks: np.ndarray, output: Mapping[str, Any], place: int | None = None
) -> np.ndarray:
    """Render the frames that a mask predictor's objects will be seen in.

    Args:
        frames: the input, uint8 ``(T_in, H, W, 3)``.
        masks: class maps of it, uint8 ``(T_in, H, W)``, in which a class is an object.
        output: of the mask predictor for these masks: ``masks``, ``class_ids``, ``places`` and
            ``probabilities``, and ``orientations`` if it knows them, as in ``FutureMasksOutput``.
        place: of the only frame that is wanted, from 0 on; None for all.

    Returns:
        uint8 ``(T, H, W, 3)``, or ``(1, H, W, 3)``.

    Raises:
        UserError: if the mask predictor follows no objects, or gives only its last mask.
    """
    missing = _NEEDED - set(output)
    if missing:
        raise UserError(
            f"PIPELINE.PREDICTOR gives no {', '.join(sorted(missing))}, so no frames can be drawn; "
            "use configs/object_dynamics/object_dynamics_frames.yaml."
        )
    arrays = {name: _array(output[name]) for name in [*_NEEDED, *_OPTIONAL & set(output)]}
    chosen = slice(None) if place is None else slice(place, place + 1)
    class_ids = np.union1d(np.unique(masks), arrays["class_ids"]).astype(np.int64)
    class_ids = class_ids[class_ids > 0]
    known, sights = measure_motion(masks, class_ids)
    future = _future(class_ids, arrays, chosen)
    return render_frames(frames, known, sights, future)


def _array(values: Any) -> np.ndarray:
    array: np.ndarray = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return array


def _future(class_ids: np.ndarray, output: dict[str, np.ndarray], chosen: slice) -> SceneMotion:
    """Return the motion of objects in the chosen ones of the predicted frames."""
    masks = output["masks"]
    count = len(masks)
    drawn = masks[chosen]
    rows = np.searchsorted(class_ids, output["class_ids"])
    places = np.full((len(class_ids), len(drawn), 2), np.nan)
    shown = output["probabilities"][:, -count:][:, chosen] >= _MIN_PROBABILITY
    shown = shown | (drawn == output["class_ids"][:, None, None, None]).any(axis=(2, 3))
    there = output["places"][:, -count:][:, chosen]
    places[rows] = np.where(shown[..., None], there, np.nan)
    seen, sights = measure_motion(drawn, class_ids)
    yaws = np.where(sights.shares > 0, seen.yaws, np.nan)
    if "orientations" in output:
        given = yaws_of(output["orientations"][:, -count:][:, chosen])
        yaws[rows] = np.where(np.isfinite(given), given, yaws[rows])
    return SceneMotion(class_ids, places, yaws, drawn)
