"""From the objects that a mask predictor follows to predicted frames.

Shapes: ``K`` objects, ``T_in`` input and ``T`` predicted frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vps_d2.inference.object_frames.renderer import render_frames
from vps_d2.inference.object_frames.scene import SceneMotion, draw_masks, measure_motion, yaws_of
from vps_d2.io.errors import UserError

_NEEDED = {"class_ids", "places", "probabilities"}
_OPTIONAL = {"orientations"}
_MIN_PROBABILITY = 0.2
"""Of an object being there, below which it is not drawn."""
_MIN_CERTAINTY = 0.1
"""Of a predicted yaw, below which a cube keeps the last one that was seen."""


def render_prediction(
    frames: np.ndarray,
    masks: np.ndarray,
    output: Mapping[str, Any],
    count: int,
    place: int | None = None,
) -> np.ndarray:
    """Render the frames that a mask predictor's objects will be seen in.

    Args:
        frames: the input, uint8 ``(T_in, H, W, 3)``.
        masks: class maps of it, uint8 ``(T_in, H, W)``, in which a class is an object.
        output: of the mask predictor for these masks: ``class_ids``, ``places`` and
            ``probabilities``, and ``orientations`` if it knows them, as in ``FutureMasksOutput``.
        count: ``T``, the last frames that these are about.
        place: of the only frame that is wanted, from 0 on; None for all.

    Returns:
        uint8 ``(T, H, W, 3)``, or ``(1, H, W, 3)``.

    Raises:
        UserError: if the mask predictor follows no objects.
    """
    missing = _NEEDED - set(output)
    if missing:
        raise UserError(
            f"PIPELINE.PREDICTOR gives no {', '.join(sorted(missing))}, so no frames can be drawn; "
            "use configs/object_dynamics/object_dynamics.yaml."
        )
    arrays = {name: _array(output[name]) for name in [*_NEEDED, *_OPTIONAL & set(output)]}
    chosen = np.arange(arrays["places"].shape[1])[-count:]
    if place is not None:
        chosen = chosen[place : place + 1]
    class_ids = np.union1d(np.unique(masks), arrays["class_ids"]).astype(np.int64)
    class_ids = class_ids[class_ids > 0]
    known, sights = measure_motion(masks, class_ids)
    return render_frames(frames, known, sights, _future(known, arrays, chosen))


def _array(values: Any) -> np.ndarray:
    array: np.ndarray = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return array


def _future(known: SceneMotion, output: dict[str, np.ndarray], chosen: np.ndarray) -> SceneMotion:
    """Return the motion of objects in the chosen ones of the predicted frames."""
    class_ids = known.class_ids
    rows = np.searchsorted(class_ids, output["class_ids"])
    places = np.full((len(class_ids), len(chosen), 2), np.nan)
    shown = output["probabilities"][:, chosen, None] >= _MIN_PROBABILITY
    places[rows] = np.where(shown, output["places"][:, chosen], np.nan)
    last = [yaws[np.isfinite(yaws)][-1:] for yaws in known.yaws]
    yaws = np.array([each[0] if len(each) else 0.0 for each in last])[:, None]
    yaws = np.repeat(yaws, len(chosen), axis=1)
    if "orientations" in output:
        said = yaws_of(output["orientations"][:, chosen], _MIN_CERTAINTY)
        yaws[rows] = np.where(np.isfinite(said), said, yaws[rows])
    height, width = known.masks.shape[1:]
    drawn = draw_masks(class_ids, places, yaws, (height, width))
    return SceneMotion(class_ids, places, yaws, drawn)
