"""Videos of colliding objects, made to look and move like the real ones, with exact masks.

``generate_video(seed)`` makes one; :func:`make_dataset` fills folders with them. Like
:mod:`vps_d2.data.video`, nothing here imports PyTorch.
"""

from vps_d2.data.synthetic.dataset import (
    SPLITS,
    SyntheticVideo,
    generate_video,
    make_dataset,
    video_seed,
)
from vps_d2.data.synthetic.physics import simulate
from vps_d2.data.synthetic.render import render, render_masks
from vps_d2.data.synthetic.scene import Body, Scene, SyntheticOptions
from vps_d2.data.synthetic.tracks import count_tracks, make_tracks, simulate_tracks
from vps_d2.data.world import Camera

__all__ = [
    "SPLITS",
    "Body",
    "Camera",
    "Scene",
    "SyntheticOptions",
    "SyntheticVideo",
    "count_tracks",
    "generate_video",
    "make_dataset",
    "make_tracks",
    "render",
    "render_masks",
    "simulate",
    "simulate_tracks",
    "video_seed",
]
