"""ObjectDynamicsNetwork: tracks in, tracks out.

Shapes: ``N`` videos, ``K`` objects, ``S`` frames, counted from the last input frame (0) on.

Example: where the objects of a video go after frame 11, from its masks::

    tracks = masks_to_tracks([torch.from_numpy(masks[:11])])  # uint8 (22, H, W)
    model = ObjectDynamics(network=ObjectDynamicsNetwork()).eval()
    SafeCheckpointer(model).load("vps_d2/weights/object_dynamics.pth")
    future = model.network(tracks, num_frames=11)
    future.trajectory.places[0, :, 11]  # (K, 2): meters on the floor at frame 22
    future.centers[0, :, 11]  # (K, 2): the same in the picture, in widths from its middle
    future.probabilities[0, :, 11]  # (K,): how likely each is to be there
"""

from typing import NamedTuple

import torch
from torch import nn

from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.drawing import ObjectDrawing
from vps_d2.modeling.object_dynamics.fits import FITS
from vps_d2.modeling.object_dynamics.motion import Motion, Trajectory
from vps_d2.modeling.object_dynamics.replays import NUM_READINGS, fit_and_replay
from vps_d2.modeling.object_dynamics.spread import SpreadHead
from vps_d2.modeling.object_dynamics.state import State, StateEncoder, mlp
from vps_d2.modeling.object_dynamics.tracks import NUM_KINDS, Tracks


class Future(NamedTuple):
    """The predicted future of the objects in videos.

    Attributes:
        state: at the last input frame.
        trajectory: from there on.
        centers: where the objects' centers are seen, x and y in picture widths from the middle,
            ``(N, K, S, 2)``.
        depths: their distance along the view, ``(N, K, S)`` in meters.
        presence: logits of the probability that an object is in the picture, near its predicted
            place, ``(N, K, S)``.
    """

    state: State
    trajectory: Trajectory
    centers: torch.Tensor
    depths: torch.Tensor
    presence: torch.Tensor

    @property
    def probabilities(self) -> torch.Tensor:
        """Probability of each object's presence, 0-1, ``(N, K, S)``; 0 for empty entries."""
        return self.presence.sigmoid() * self.state.exists[..., None]


class ObjectDynamicsNetwork(nn.Module):
    """Read the state of every object from its track, and play it on.

    Args:
        num_input_frames: of the tracks.
        channels: of the encoder.
        num_layers: of the encoder.
        heads: of the encoder's attention.
        code_size: numbers that the encoder passes on to the motion of an object, besides its place,
            velocity, orientation, spin and mass.
        message_channels: of the network of a pair of objects.
        substeps: steps of the motion between two frames.
        drawing_channels: of the network that draws.
    """

    def __init__(
        self,
        *,
        num_input_frames: int = 11,
        channels: int = 128,
        num_layers: int = 3,
        heads: int = 4,
        code_size: int = 16,
        message_channels: int = 64,
        substeps: int = 3,
        drawing_channels: int = 48,
    ) -> None:
        super().__init__()
        self.num_input_frames = num_input_frames
        self.camera = GroundCamera()
        self.encoder = StateEncoder(
            num_fits=NUM_READINGS,
            likely=[FITS.index(("free", 4)), FITS.index(("free", 6))],
            num_frames=num_input_frames,
            channels=channels,
            num_layers=num_layers,
            heads=heads,
            code_size=code_size,
        )
        self.motion = Motion(code_size=code_size, hidden=message_channels, substeps=substeps)
        self.presence = mlp(NUM_KINDS + code_size + 2 + 1 + 3 + 1, 64, 64, 1)
        self.spread = SpreadHead(channels, code_size)
        self.drawing = ObjectDrawing(drawing_channels)

    def forward(self, tracks: Tracks, num_frames: int = 11) -> Future:
        """Predict the next frames of tracks; ``S`` is one more than their number.

        Args:
            tracks: of the input frames.
            num_frames: to predict.
        """
        # Centimeters need single precision.
        with torch.autocast(tracks.measures.device.type, enabled=False):
            with torch.no_grad():  # the motion is learned from other losses
                fits = fit_and_replay(tracks, self.motion)
            state = self.encoder(tracks, fits)
            trajectory = self.motion(state, num_frames)
            heights = torch.full_like(trajectory.pushed, CENTER_HEIGHT)
            projected = self.camera.project(trajectory.places, heights)
            presence = self._presence(state, trajectory, projected)
        return Future(state, trajectory, projected[..., :2], projected[..., 2], presence)

    def _presence(
        self, state: State, trajectory: Trajectory, projected: torch.Tensor
    ) -> torch.Tensor:
        """Return logits ``(N, K, S)``; detached, so motion is not trained to look likely."""
        num_frames = trajectory.pushed.shape[2]
        still = torch.cat([state.kinds, state.code], dim=-1)
        frames = torch.arange(num_frames, device=still.device, dtype=still.dtype) / 10
        features = torch.cat(
            [
                still[:, :, None].expand(-1, -1, num_frames, -1),
                trajectory.velocities.detach(),
                trajectory.pushed.detach()[..., None],
                projected.detach().clamp(-1, 20) / projected.new_tensor([1.0, 1.0, 10.0]),
                frames[:, None].expand(*trajectory.pushed.shape, 1),
            ],
            dim=-1,
        )
        return self.presence(features)[..., 0]
