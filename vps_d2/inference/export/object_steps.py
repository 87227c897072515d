"""What is exported of ObjectDynamics: where measured objects go, and what they look like there.

``future`` plays the objects on, ``draw`` says which points of a picture an object covers.
Measuring masks before and putting objects over each other after are NumPy, in
:mod:`vps_d2.data.tracks` and in ``docs/examples/future_mask_onnx.py``.

Shapes: ``N`` videos, ``K`` objects, ``T`` input frames, ``S`` predicted frames, ``P`` points, ``C``
numbers that describe an object to be drawn.
"""

import torch
from torch import nn

from vps_d2.data.silhouettes import NUM_MEASURES
from vps_d2.data.tracks import MAX_OBJECTS
from vps_d2.data.world import RADIUS
from vps_d2.inference.export.made_inputs import made_masks
from vps_d2.inference.export.steps import Sizes, Step, Tensors
from vps_d2.inference.models import LoadedModel
from vps_d2.modeling.object_dynamics.architecture import ObjectDynamics
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT
from vps_d2.modeling.object_dynamics.drawing import LEAST_SHARE, NEAREST
from vps_d2.modeling.object_dynamics.tracks import Tracks, masks_to_tracks

_OUTSIDE = 1e3
"""Picture widths."""


class _Future(nn.Module):
    def __init__(self, model: ObjectDynamics) -> None:
        super().__init__()
        self.model = model
        self.frames = model.clip.target_frames(1)  # counted from the last input frame

    def forward(self, class_ids: torch.Tensor, measures: torch.Tensor) -> Tensors:
        network, frames = self.model.network, self.frames
        future = network(Tracks(class_ids, measures), frames[-1])
        wanted = slice(frames.start, frames.stop)
        futures, shown = self.model.futures(future, wanted)
        heights = torch.full_like(futures[..., 0], CENTER_HEIGHT)
        x, y, depths = network.camera.project(futures, heights).unbind(-1)
        # What is not to be drawn, or is nearer than the camera sees, is put out of the picture.
        x = torch.where(shown[..., None] & (depths > NEAREST), x, _OUTSIDE)
        scales = network.camera.focal_length * RADIUS / depths.clamp(min=NEAREST)
        kinds = future.state.kinds[:, :, None].expand(-1, -1, len(frames), -1)
        orientations = future.trajectory.orientations[:, :, wanted]
        described = network.drawing.describe(
            future.state._replace(kinds=kinds), futures.mean(3), orientations, network.camera
        )
        looks = described[..., None, 3:].expand(*x.shape, -1)
        objects = torch.cat([torch.stack([x, y, scales], -1), looks], -1)
        places, probabilities = (
            each[:, :, wanted] for each in (future.trajectory.places, future.probabilities)
        )
        return places, probabilities, depths.mean(-1), objects


class _Draw(nn.Module):
    def __init__(self, model: ObjectDynamics) -> None:
        super().__init__()
        self.drawing = model.network.drawing

    def forward(self, objects: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.drawing(objects, points[None])
        return logits


def object_dynamics_steps(loaded: LoadedModel) -> list[Step]:
    """Return what is exported of ObjectDynamics."""
    model = loaded.model
    assert isinstance(model, ObjectDynamics)
    future, draw = _Future(model).eval(), _Draw(model).eval()
    length, predicted = loaded.clip.num_input, len(future.frames)

    def measure(masks: torch.Tensor) -> Tensors:
        tracks = masks_to_tracks(list(masks))
        return tracks.class_ids, tracks.measures

    def make(sizes: Sizes) -> Tensors:
        return measure(made_masks(sizes.number, length, sizes.height, sizes.width, 49))

    def make_points(sizes: Sizes) -> Tensors:
        with torch.no_grad():
            described = future(*make(sizes))[-1]
        y, x = torch.meshgrid(*map(torch.arange, sizes[1:]), indexing="ij")
        middle = torch.tensor([sizes.width / 2, sizes.height / 2])
        points = (torch.stack([x, y], -1).flatten(0, 1) + 0.5 - middle) / sizes.width
        return described[:, : sizes.number, -1, 0].flatten(0, 1), points

    def reference_future(class_ids: torch.Tensor, measures: torch.Tensor) -> Tensors:
        found: Tensors = future(class_ids, measures)
        return found

    channels = draw.drawing.of_object.in_features + 3
    return [
        Step(
            name="future",
            network=future,
            inputs={
                "class_ids": ("N", MAX_OBJECTS),
                "measures": ("N", MAX_OBJECTS, length, NUM_MEASURES),
            },
            outputs={
                "places": ("N", MAX_OBJECTS, predicted, 2),
                "probabilities": ("N", MAX_OBJECTS, predicted),
                "depths": ("N", MAX_OBJECTS, predicted),
                "objects": ("N", MAX_OBJECTS, predicted, len(model.points), channels),
            },
            make=make,
            reference=reference_future,
            about="Up to 6 objects of the vps data set, measured by vps_d2.data.tracks.",
            settings={"least_share": LEAST_SHARE},
        ),
        Step(
            name="draw",
            network=draw,
            inputs={"objects": ("K", channels), "points": ("P", 2)},
            outputs={"logits": ("K", "P")},
            make=make_points,
            reference=lambda objects, points: (draw(objects, points),),
            about="Points are x and y from the middle of the picture, in its widths; an object "
            "covers those whose logit is above 0.",
        ),
    ]
