"""Draw docs/images/frames.png: predicted frames of several pipelines below the true ones.

    python docs/draw_frames.py VIDEO [VIDEO ...] [--output PICTURE]

A video is a folder with at least 22 frames, such as those of ``vps-d2 make-synthetic``.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from vps_d2.data.video import read_frames
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.pictures import write_png
from vps_d2.visualization.drawing import caption, strip

PICTURE = Path(__file__).parent / "images" / "frames.png"
PIPELINES = {"SimVP": "simvp_unet", "ObjectDynamics": "object_frames_unet"}
SHOWN = (12, 17, 22)
SCALE = 1.25


def draw(videos: list[Path]) -> np.ndarray:
    """Return a picture, uint8 ``(H, W, 3)``, of the true and the predicted frames of videos."""
    pipelines = {
        name: FutureMaskPredictor.from_config_file(f"configs/pipeline/{config}.yaml")
        for name, config in PIPELINES.items()
    }
    rows = []
    for video in videos:
        frames = read_frames(video, range(22))
        rows.append(_row("true", frames[11:]))
        for name, pipeline in pipelines.items():
            rows.append(_row(name, pipeline(frames[None, :11])[0].frames))
    return np.concatenate(rows)


def _row(name: str, frames: np.ndarray) -> np.ndarray:
    pictures = []
    for number in SHOWN:
        frame = cv2.resize(frames[number - 12], None, fx=SCALE, fy=SCALE)
        pictures.append(caption(frame, f"{name}, frame {number}"))
    return strip(pictures)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument("--output", type=Path, default=PICTURE)
    args = parser.parse_args()
    write_png(args.output, draw(args.videos))


if __name__ == "__main__":
    main()
