"""ObjectDynamics: from the masks of the input frames to those of the next, object by object."""

from typing import Any

import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.data.clips import ClipSpec
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.vps import NUM_INPUT_FRAMES, NUM_TARGET_FRAMES, TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import MaskArchitecture
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT
from vps_d2.modeling.object_dynamics.losses import Motions, object_dynamics_losses
from vps_d2.modeling.object_dynamics.network import Future, ObjectDynamicsNetwork
from vps_d2.modeling.object_dynamics.spread import normal_points
from vps_d2.modeling.object_dynamics.tracks import Tracks, masks_to_tracks
from vps_d2.modeling.outputs import FutureMasksOutput
from vps_d2.modeling.tasks import Task

_CLIP = ClipSpec(NUM_INPUT_FRAMES, NUM_TARGET_FRAMES)
"""Of the videos that tracks are generated for."""


@META_ARCH_REGISTRY.register()
class ObjectDynamics(MaskArchitecture):
    """:class:`ObjectDynamicsNetwork` behind Detectron2's interface of a model.

    Args:
        network: tracks in, tracks out.
        clip: masks that it takes and gives.
        all_frames: draw all masks after the input, not only the last.
        min_probability: objects with a lower probability of being where they are predicted are not
            drawn, if there is one future.
        num_futures: places in which each object is drawn, see :class:`Spread`; with 1, where it is
            predicted.
        state_noise: see :func:`object_dynamics_losses`.
    """

    task: Task = "future_masks"
    points: torch.Tensor

    @configurable
    def __init__(
        self,
        *,
        network: ObjectDynamicsNetwork,
        clip: ClipSpec = _CLIP,
        all_frames: bool = False,
        min_probability: float = 0.1,
        num_futures: int = 24,
        state_noise: float = 0.02,
    ) -> None:
        super().__init__()
        self.network = network
        self.clip = clip
        self.all_frames = all_frames
        self.min_probability = min_probability
        self.register_buffer("points", normal_points(num_futures), persistent=False)
        self.state_noise = state_noise

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration.

        Raises:
            UserError: if MODEL.OBJECT_DYNAMICS.TARGETS is unknown, or the classes are not those of
                the vps data set.
        """
        keys = cfg.MODEL.OBJECT_DYNAMICS
        taxonomy = find_taxonomy(cfg)
        if taxonomy is not None and taxonomy.thing_classes != TAXONOMY.thing_classes:
            raise UserError(
                "ObjectDynamics only works for the objects of the vps data set, but the data has "
                f"{len(taxonomy.thing_classes)} other classes; use another mask predictor, such "
                "as MaskSimVP."
            )
        if keys.TARGETS not in ("last", "all"):
            raise UserError(
                f'MODEL.OBJECT_DYNAMICS.TARGETS must be "last" or "all", not "{keys.TARGETS}".'
            )
        network = ObjectDynamicsNetwork(
            num_input_frames=cfg.INPUT.NUM_INPUT_FRAMES,
            channels=keys.CHANNELS,
            num_layers=keys.NUM_LAYERS,
            heads=keys.HEADS,
            code_size=keys.CODE_SIZE,
            message_channels=keys.MESSAGE_CHANNELS,
            substeps=keys.SUBSTEPS,
            drawing_channels=keys.DRAWING_CHANNELS,
        )
        return {
            "network": network,
            "clip": ClipSpec.from_config(cfg),
            "all_frames": keys.TARGETS == "all",
            "min_probability": keys.MIN_PROBABILITY,
            "num_futures": keys.NUM_FUTURES,
            "state_noise": keys.STATE_NOISE,
        }

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[FutureMasksOutput]:
        """Predict masks.

        Args:
            batched_inputs: for each video ``masks`` uint8 ``(T_in, H, W)``, all of one size.

        Returns:
            for each video ``mask``, the last one, with all frames also ``masks``, and of its ``K``
            objects ``class_ids``, ``probabilities``, ``places``, ``centers``, ``futures`` and
            ``orientations``.

        Raises:
            UserError: if the masks are not of one size, or not ``T_in``.
        """
        masks = self.stack_masks(batched_inputs, self.network.num_input_frames)
        tracks = self.to_device(masks_to_tracks(list(masks)))
        # Counted from the last input frame.
        frames = self.clip.target_frames(1)
        future = self.network(tracks, frames[-1])
        if not self.all_frames:
            frames = frames[-1:]
        size = (masks[0].shape[-2], masks[0].shape[-1])
        with torch.autocast(self.device.type, enabled=False):
            places, shown = self.futures(future, slice(frames.start, frames.stop))
            painted = [
                self.network.drawing.paint(
                    future.state,
                    tracks.class_ids,
                    places[:, :, index],
                    future.trajectory.orientations[:, :, frame],
                    shown[:, :, index],
                    self.network.camera,
                    size,
                )
                for index, frame in enumerate(frames)
            ]
            last = places[:, :, -1]
            heights = torch.full_like(last[..., 0], CENTER_HEIGHT)
            seen = _to_pixels(self.network.camera.project(last, heights)[..., :2], size)
        drawn = torch.stack(painted, 1)
        return [
            self._output(tracks, future, video, drawn[video], seen[video])
            for video in range(len(masks))
        ]

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of :func:`object_dynamics_losses`.

        Args:
            batched_inputs: what ``TracksMapper`` gives.
        """
        batch = {
            name: torch.stack([video[name] for video in batched_inputs]).to(self.device)
            for name in ("class_ids", "measures", *Motions._fields)
            if name != "points_frame"
        }
        tracks = Tracks(batch.pop("class_ids"), batch.pop("measures"))
        frames = torch.tensor([video["points_frame"] for video in batched_inputs])
        motions = Motions(**batch, points_frame=frames.to(self.device))
        return object_dynamics_losses(self.network, tracks, motions, self.state_noise)

    def to_device(self, tracks: Tracks) -> Tracks:
        """Return tracks on the device of the model."""
        return tracks._replace(
            class_ids=tracks.class_ids.to(self.device), measures=tracks.measures.to(self.device)
        )

    def futures(self, future: Future, frames: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where objects may be.

        Args:
            future: as predicted.
            frames: ``S`` of them, counted from the last input frame.

        Returns:
            places in meters, all alike likely, ``(N, K, S, P, 2)``, and which objects to draw, bool
            ``(N, K, S)``.
        """
        if len(self.points) == 1:
            shown = future.probabilities[:, :, frames] >= self.min_probability
            return future.trajectory.places[:, :, frames, None], shown
        places = self.network.spread(future.state, future.trajectory, frames).draw(self.points)
        return places, future.state.exists[..., None].expand(places.shape[:3])

    @staticmethod
    def _output(
        tracks: Tracks,
        future: Future,
        video: int,
        painted: torch.Tensor,
        futures: torch.Tensor,
    ) -> FutureMasksOutput:
        known = tracks.class_ids[video] > 0
        size = (painted.shape[-2], painted.shape[-1])
        output: FutureMasksOutput = {
            "mask": painted[-1],
            "class_ids": tracks.class_ids[video, known],
            "probabilities": future.probabilities[video, known, 1:],
            "places": future.trajectory.places[video, known, 1:],
            "centers": _to_pixels(future.centers[video, known, 1:].float(), size),
            "futures": futures[known],
            "orientations": future.trajectory.orientations[video, known, 1:].float(),
        }
        if len(painted) > 1:
            output["masks"] = painted
        return output


def _to_pixels(points: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return points, in widths from the middle of the picture, in pixels from its corner."""
    height, width = size
    return points * width + points.new_tensor([width / 2, height / 2])
